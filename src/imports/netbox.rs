//! NetBox: sites, devices, virtual machines and services as the answers of its API have them, brought to the tables of
//! the inventory.
//!
//! A device that virtual machines run on is a node, a virtual machine a container, a port of one of its services a
//! service. A cluster stands for the node of machines that are pinned to no device. Rows are found again by their names,
//! so that what else the inventory has stays.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde_json::{Map, Value, json};

use super::source::{SourceRow, SourceTable};

/// The objects of NetBox that are asked for, with their paths below `/api/` and the names that a file has for them.
pub(crate) const OBJECTS: [(&str, &str); 5] = [
    ("sites", "dcim/sites/"),
    ("devices", "dcim/devices/"),
    ("virtual_machines", "virtualization/virtual-machines/"),
    ("services", "ipam/services/"),
    ("ip_addresses", "ipam/ip-addresses/"),
];

/// Well-known TCP ports, and whether TLS is spoken there.
const TLS_PORTS: [(u64, bool); 4] = [(80, false), (443, true), (8_080, false), (8_443, true)];

/// Objects by the names of [`OBJECTS`].
pub(crate) type Objects = HashMap<String, Vec<Value>>;

/// The numbers that rows have: `site fra1` or `service web1 tcp 443`, and the largest of each table.
#[derive(Debug, Default)]
pub(crate) struct Numbers {
    known: HashMap<String, i64>,
    last: HashMap<String, i64>,
}

impl Numbers {
    /// Notes a row that is there.
    pub(crate) fn note(&mut self, kind: &str, name: &str, id: i64) {
        self.known.insert(format!("{kind} {name}"), id);
        let last = self.last.entry(kind.to_owned()).or_default();
        *last = id.max(*last);
    }

    /// Returns the number of a row, a new one where there is none.
    fn of(&mut self, kind: &str, name: &str) -> i64 {
        if let Some(id) = self.known.get(&format!("{kind} {name}")) {
            return *id;
        }
        let id = self.last.get(kind).copied().unwrap_or_default() + 1;
        self.note(kind, name, id);
        id
    }
}

/// Reads a file: an object with some of the names of [`OBJECTS`], each a list or an answer of the API.
///
/// # Errors
/// A sentence, when it is something else.
pub(crate) fn read(text: &str) -> Result<Objects, String> {
    let Value::Object(names) = serde_json::from_str(text).map_err(|error| format!("is not JSON: {error}"))? else {
        return Err("is not an object with sites, devices, virtual_machines, services and ip_addresses".to_owned());
    };
    let mut objects = Objects::new();
    for (name, value) in names {
        let key = name.replace('-', "_");
        let Some((key, _)) = OBJECTS.into_iter().find(|(known, _)| *known == key) else {
            return Err(format!("{name}: is none of sites, devices, virtual_machines, services, ip_addresses"));
        };
        let list = match value {
            Value::Array(list) => list,
            Value::Object(answer) => results(answer).map_err(|why| format!("{name}: {why}"))?.0,
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                return Err(format!("{name}: is not a list"));
            }
        };
        objects.insert(key.to_owned(), list);
    }
    Ok(objects)
}

/// Returns the objects of an answer, and the URL of the next page.
///
/// # Errors
/// A sentence, when it is none.
pub(crate) fn results(mut answer: Map<String, Value>) -> Result<(Vec<Value>, Option<String>), String> {
    let next = answer.get("next").and_then(Value::as_str).map(str::to_owned);
    match answer.remove("results") {
        Some(Value::Array(results)) => Ok((results, next)),
        Some(_) | None => Err("has no list of results".to_owned()),
    }
}

/// The tables being made.
struct Tables<'a> {
    numbers: &'a mut Numbers,
    /// The addresses of interfaces, by the kind and number of what has the interface.
    assigned: HashMap<(&'static str, i64), Vec<&'a str>>,
    rows: BTreeMap<&'static str, Vec<SourceRow>>,
    left_out: BTreeMap<&'static str, u64>,
}

/// Returns the tables of the inventory, and what is left out, one line each.
pub(crate) fn tables(objects: &Objects, numbers: &mut Numbers) -> (Vec<SourceTable>, Vec<String>) {
    let list = |name: &str| objects.get(name).map_or(&[][..], Vec::as_slice);
    let assigned = assigned(list("ip_addresses"));
    let mut tables = Tables { numbers, assigned, rows: BTreeMap::new(), left_out: BTreeMap::new() };
    for site in list("sites") {
        tables.site(text(site, "name"));
    }
    let machines = list("virtual_machines");
    let hosts: BTreeSet<i64> = machines.iter().filter_map(|machine| machine["device"]["id"].as_i64()).collect();
    for device in list("devices") {
        tables.device(device, &hosts);
    }
    let mut hostnames = HashMap::new();
    for machine in machines {
        if let Some(hostname) = tables.machine(machine) {
            hostnames.insert(machine["id"].as_i64(), hostname);
        }
    }
    for service in list("services") {
        tables.service(service, &hostnames);
    }
    let Tables { rows, left_out, .. } = tables;
    let names = ["sites", "nodes", "containers", "services", "transport_services"];
    let mut rows = rows;
    let tables = names.map(|name| SourceTable { name: name.to_owned(), rows: rows.remove(name).unwrap_or_default() });
    (tables.into(), left_out.into_iter().map(|(why, count)| format!("{count} {why}")).collect())
}

fn text<'a>(object: &'a Value, field: &str) -> Option<&'a str> {
    object[field].as_str().filter(|text| !text.is_empty())
}

/// Returns the addresses of interfaces, IPv4 first, without their lengths.
fn assigned(addresses: &[Value]) -> HashMap<(&'static str, i64), Vec<&str>> {
    let mut assigned: HashMap<_, Vec<&str>> = HashMap::new();
    for one in addresses {
        let owner = |kind| Some((kind, one["assigned_object"][kind]["id"].as_i64()?));
        let owner = ["virtual_machine", "device"].into_iter().find_map(owner);
        if let (Some(owner), Some(address)) = (owner, text(one, "address")) {
            assigned.entry(owner).or_default().extend(address.split('/').next());
        }
    }
    assigned.values_mut().for_each(|of_one| of_one.sort_by_key(|address| address.contains(':')));
    assigned
}

impl Tables<'_> {
    fn add(&mut self, table: &'static str, place: String, values: Value) {
        let Value::Object(values) = values else { return };
        self.rows.entry(table).or_default().push(SourceRow { place, values, is_text: false });
    }

    fn has(&self, table: &'static str, id: i64) -> bool {
        self.rows.get(table).is_some_and(|rows| rows.iter().any(|row| row.values.get("id") == Some(&id.into())))
    }

    fn leave_out(&mut self, why: &'static str) {
        *self.left_out.entry(why).or_default() += 1;
    }

    /// Returns the primary address of a device or virtual machine, IPv4 first, without its length; where it has none, the
    /// first one of its interfaces.
    fn address(&mut self, kind: &'static str, object: &Value) -> Option<String> {
        let primary = ["primary_ip4", "primary_ip6"].into_iter().filter_map(|field| object[field]["address"].as_str());
        let primary = primary.filter_map(|address| address.split('/').next()).next();
        let others = object["id"].as_i64().and_then(|id| self.assigned.remove(&(kind, id))).unwrap_or_default();
        let address = primary.or_else(|| others.first().copied());
        for _ in others.iter().filter(|other| Some(**other) != address) {
            self.leave_out("further addresses of devices and virtual machines");
        }
        address.map(str::to_owned)
    }

    /// Adds a site, once. Returns its number.
    fn site(&mut self, name: Option<&str>) -> Option<i64> {
        let name = name?;
        let id = self.numbers.of("site", name);
        if !self.has("sites", id) {
            self.add("sites", format!("site {name}"), json!({"id": id, "name": name}));
        }
        Some(id)
    }

    fn device(&mut self, device: &Value, hosts: &BTreeSet<i64>) {
        let is_host = device["id"].as_i64().is_some_and(|id| hosts.contains(&id)) || !device["cluster"].is_null();
        match (is_host, text(device, "name"), self.site(text(&device["site"], "name"))) {
            (true, Some(name), Some(site)) => {
                let address = self.address("device", device);
                let values = json!({"id": self.numbers.of("node", name), "name": name, "site_id": site,
                                    "ipv4_address": address});
                self.add("nodes", format!("device {name}"), values);
            }
            (true, _, _) => self.leave_out("devices without a name or a site"),
            (false, _, _) => self.leave_out("devices that host no virtual machine"),
        }
    }

    /// Adds a virtual machine, and the cluster that it is in where no device hosts it. Returns its name.
    fn machine(&mut self, machine: &Value) -> Option<String> {
        let hostname = text(machine, "name")?;
        let device = text(&machine["device"], "name");
        let Some(host) = device.or_else(|| text(&machine["cluster"], "name")) else {
            self.leave_out("virtual machines on no device and in no cluster");
            return None;
        };
        let node = self.numbers.of("node", host);
        if !self.has("nodes", node) {
            let Some(site) = self.site(text(&machine["site"], "name")) else {
                self.leave_out("virtual machines at no site");
                return None;
            };
            self.add("nodes", format!("cluster {host}"), json!({"id": node, "name": host, "site_id": site}));
        }
        let status = match machine["status"]["value"].as_str() {
            Some("active" | "decommissioning") => "running",
            Some("staged") => "creating",
            Some("failed") => "failed",
            Some(_) | None => "pending",
        };
        let address = self.address("virtual_machine", machine);
        let values = json!({"id": self.numbers.of("container", hostname), "hostname": hostname, "node_id": node,
                            "status": status, "ipv4_address": address});
        self.add("containers", format!("virtual machine {hostname}"), values);
        Some(hostname.to_owned())
    }

    /// Adds a service of each port. NetBox 4.3 names the parent in other fields than those before it.
    fn service(&mut self, service: &Value, hostnames: &HashMap<Option<i64>, String>) {
        let is_of_machine = service["parent_object_type"] == "virtualization.virtualmachine";
        let parent = service["virtual_machine"]["id"].as_i64();
        let parent = parent.or_else(|| service["parent_object_id"].as_i64().filter(|_| is_of_machine));
        let Some(hostname) = parent.and_then(|id| hostnames.get(&Some(id))) else {
            return self.leave_out("services of what is no container");
        };
        let protocol = service["protocol"]["value"].as_str().unwrap_or_default();
        if !matches!(protocol, "tcp" | "udp") {
            return self.leave_out("services that are neither TCP nor UDP");
        }
        for port in service["ports"].as_array().into_iter().flatten().filter_map(Value::as_u64) {
            let key = format!("{hostname} {protocol} {port}");
            let (id, container) = (self.numbers.of("service", &key), self.numbers.of("container", hostname));
            if self.has("services", id) {
                continue;
            }
            let place = format!("service {key}");
            self.add(
                "services",
                place.clone(),
                json!({"id": id, "container_id": container, "type": "transport", "container_port": port}),
            );
            let use_tls = TLS_PORTS.into_iter().find(|(known, _)| *known == port).map(|(_, is_tls)| is_tls);
            let values = json!({"id": self.numbers.of("transport", &key), "service_id": id, "protocol": protocol,
                                "use_tls": use_tls.filter(|_| protocol == "tcp")});
            self.add("transport_services", place, values);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_become_rows_that_keep_their_numbers() {
        let objects = read(
            r#"{"sites": {"count": 1, "next": null, "results": [{"id": 21, "name": "fra1"}]},
                "devices": [{"id": 1, "name": "n1", "site": {"name": "fra1"}, "cluster": null,
                             "primary_ip4": {"address": "198.51.100.5/24"}},
                            {"id": 2, "name": "switch1", "site": {"name": "fra1"}, "cluster": null}],
                "virtual-machines": [
                    {"id": 7, "name": "web1", "device": {"id": 1, "name": "n1"}, "status": {"value": "active"},
                     "primary_ip4": null, "primary_ip6": {"address": "2001:db8::9/64"}},
                    {"id": 8, "name": "db1", "device": null, "cluster": {"name": "c1"}, "site": {"name": "fra1"},
                     "status": {"value": "planned"}},
                    {"id": 9, "name": "lost", "device": null, "cluster": null}],
                "ip-addresses": [
                    {"address": "2001:db8::8/64", "assigned_object": {"id": 1, "virtual_machine": {"id": 8}}},
                    {"address": "198.51.100.8/24", "assigned_object": {"id": 1, "virtual_machine": {"id": 8}}},
                    {"address": "2001:db8::9/64", "assigned_object": {"id": 2, "virtual_machine": {"id": 7}}},
                    {"address": "198.51.100.77/24", "assigned_object": {"id": 3, "device": {"id": 7}}},
                    {"address": "198.51.100.99/24", "assigned_object": null}],
                "services": [
                    {"virtual_machine": {"id": 7}, "protocol": {"value": "tcp"}, "ports": [443, 22]},
                    {"parent_object_type": "virtualization.virtualmachine", "parent_object_id": 8,
                     "protocol": {"value": "tcp"}, "ports": [5432]},
                    {"device": {"id": 2}, "protocol": {"value": "udp"}, "ports": [161]}]}"#,
        )
        .unwrap();
        let mut numbers = Numbers::default();
        numbers.note("container", "web1", 40);
        let (tables, left_out) = tables(&objects, &mut numbers);
        let shown = |table: &SourceTable| -> Vec<String> {
            table.rows.iter().map(|row| Value::Object(row.values.clone()).to_string()).collect()
        };
        assert_eq!(shown(&tables[0]), [r#"{"id":1,"name":"fra1"}"#]);
        assert_eq!(
            shown(&tables[1]),
            [
                r#"{"id":1,"ipv4_address":"198.51.100.5","name":"n1","site_id":1}"#,
                r#"{"id":2,"name":"c1","site_id":1}"#
            ]
        );
        assert_eq!(
            shown(&tables[2]),
            [
                r#"{"hostname":"web1","id":40,"ipv4_address":"2001:db8::9","node_id":1,"status":"running"}"#,
                r#"{"hostname":"db1","id":41,"ipv4_address":"198.51.100.8","node_id":2,"status":"pending"}"#
            ]
        );
        let ports: Vec<&Value> = tables[3].rows.iter().map(|row| &row.values["container_port"]).collect();
        assert_eq!(ports, [443, 22, 5432]);
        let tls: Vec<&Value> = tables[4].rows.iter().map(|row| &row.values["use_tls"]).collect();
        assert_eq!(tls, [&json!(true), &Value::Null, &Value::Null]);
        assert_eq!(
            left_out,
            [
                "1 devices that host no virtual machine",
                "1 further addresses of devices and virtual machines",
                "1 services of what is no container",
                "1 virtual machines on no device and in no cluster"
            ]
        );
    }

    #[test]
    fn other_documents_are_refused() {
        let check = |text, want: &str| assert!(read(text).unwrap_err().starts_with(want), "{text}");
        check("[]", "is not an object with sites");
        check("{", "is not JSON: ");
        check(r#"{"racks": []}"#, "racks: is none of sites");
        check(r#"{"sites": {"detail": "Invalid token"}}"#, "sites: has no list of results");
    }
}
