//! The tables of a hosting inventory.

use super::{Schema, Table};

/// The times of rows, which the program that the inventory comes from keeps for itself.
const TIMES: [&str; 2] = ["createdAt", "updatedAt"];

/// A table of which only the times of rows are left out.
const fn whole(name: &'static str, sources: &'static [&'static str]) -> Table {
    Table { name, sources, renamed: &[], left_out: &TIMES }
}

/// The schema `inventory`. What is left out is secret, or says nothing of what a route can serve: docs/inventory.md has
/// the reasons.
pub(crate) const SCHEMA: Schema = Schema {
    name: "inventory",
    tables: &[
        whole("sites", &["site"]),
        Table {
            name: "nodes",
            sources: &["node"],
            renamed: &[],
            left_out: &["apiTokenIdOrUsername", "apiTokenSecretOrPassword", TIMES[0], TIMES[1]],
        },
        Table {
            name: "external_domains",
            sources: &["externalDomain"],
            renamed: &[],
            left_out: &["acmeEmail", "acmeDirectory", "cloudflareApiEmail", "cloudflareApiKey", TIMES[0], TIMES[1]],
        },
        Table {
            name: "containers",
            sources: &["container"],
            renamed: &[],
            left_out: &["creationJobId", TIMES[0], TIMES[1]],
        },
        whole("services", &["service"]),
        whole("http_services", &["httpService"]),
        whole("transport_services", &["transportService"]),
        whole("dns_services", &["dnsService"]),
        Table {
            name: "users",
            sources: &["user"],
            renamed: &[],
            left_out: &["userPassword", "sshPublicKey", TIMES[0], TIMES[1]],
        },
        whole("groups", &["group"]),
        whole("user_groups", &["userGroup"]),
        whole("site_vantages", &["siteVantage"]),
    ],
    left_out: &["session_secrets", "password_reset_tokens", "invite_tokens", "jobs", "job_statuses", "settings"],
};
