//! The source of the settings.

use std::path::PathBuf;

use crate::settings::{self, Settings};

/// The folder and profile of the settings, for reading them again.
#[derive(Debug, Clone)]
pub struct Source {
    /// The settings folder.
    pub folder: PathBuf,
    /// The profile.
    pub profile: Option<String>,
}

impl Source {
    /// Reads the settings.
    pub fn load(&self) -> Result<settings::Loaded, settings::Faults> {
        Settings::load(&self.folder, self.profile.as_deref(), settings::environment())
    }

    /// Reads the settings for a command that connects to nothing: secrets may be missing.
    pub fn load_offline(&self) -> Result<settings::Loaded, settings::Faults> {
        Settings::load_offline(&self.folder, self.profile.as_deref(), settings::environment())
    }
}
