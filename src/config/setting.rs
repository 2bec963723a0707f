//! One setting: a row of the table, and the text that it has in effect.

/// The prefix of every setting's name.
pub const PREFIX: &str = "RIB_INGESTER_";

/// The prefix of names that are reserved for the tests.
pub(super) const TEST_PREFIX: &str = "RIB_INGESTER_TEST_";

/// The only setting that has no default, is secret and may come from a credential.
pub(super) const DATABASE_URL: &str = "DATABASE_URL";

/// One row of the table.
#[derive(Debug)]
pub struct Setting {
    /// The name without [`PREFIX`].
    pub name: &'static str,
    /// The field of `Settings`.
    pub field: &'static str,
    /// The value when the setting is not set.
    pub default: DefaultValue,
    /// The accepted values, in words.
    pub allowed: &'static str,
    /// The effect of the setting, in words.
    pub meaning: &'static str,
    /// Tells if anything reads the setting yet.
    pub reader: Reader,
}

/// The value when a setting is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// This text, parsed as if it had been given.
    Text(&'static str),
    /// Nothing; the feature is off or the setting is required by the commands that need it.
    Unset,
    /// The host name of this machine.
    HostName,
    /// systemd's `$STATE_DIRECTORY`, else `STATE_DIR`.
    StateDirectory,
}

/// The effect of a setting in this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reader {
    /// The setting has an effect.
    Present,
    /// The name and values are fixed and checked, but the feature is not built.
    NotYet,
}

/// The origin of an effective value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ValueSource {
    /// The default in the table.
    Default,
    /// An environment variable.
    Environment,
    /// A file that a command reads in addition to its environment.
    File,
    /// systemd's credentials directory.
    Credential,
}

/// The effective text of a setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Effective {
    /// The text; `None` for [`DefaultValue::Unset`].
    pub text: Option<String>,
    /// The origin of the text.
    pub source: ValueSource,
}

impl Setting {
    /// Returns the name of the environment variable.
    pub fn variable(&self) -> String {
        format!("{PREFIX}{}", self.name)
    }

    /// Returns whether the value may contain a password.
    pub(crate) fn is_secret(&self) -> bool {
        self.name == DATABASE_URL
    }
}

impl DefaultValue {
    /// Returns the default in words, for tables.
    pub fn describe(self) -> &'static str {
        match self {
            DefaultValue::Text(text) => text,
            DefaultValue::Unset => "",
            DefaultValue::HostName => "the host name",
            DefaultValue::StateDirectory => "systemd's `STATE_DIRECTORY`, else `./rib-ingester-state`",
        }
    }
}
