//! Constitutions to measure under: so many policies that apply to the measured request, and so many that do not.

use std::fmt::Write as _;
use std::{fs, io};

use tempfile::TempDir;

const MANIFEST: &str = r#"name = "benchmark records"
version = "1.0.0"

[[principle]]
id = "ownership"
title = "Ownership"
text = "Only those who may change a record change it."
category = "security"
severity = "high"
enforcement = "block"
weight = 1.0
"#;

const SCHEMA: &str = r#"entity team;
entity user in [team] { role?: String };
entity record { status?: String, owner?: user };
action read, write, "delete" appliesTo { principal: [user], resource: [record], context: { ip?: String, risk?: Long } };
"#;

/// A bundle in a folder of its own. The measured request writes a record; `applicable` policies apply to it, each with
/// conditions, and `others` cannot: they are about one record, one user, one team or another action each.
pub fn write(applicable: usize, others: usize) -> io::Result<TempDir> {
    let folder = TempDir::new()?;
    fs::create_dir(folder.path().join("policies"))?;
    fs::write(folder.path().join("constitution.toml"), MANIFEST)?;
    fs::write(folder.path().join("schema.cedarschema"), SCHEMA)?;
    let mut text = String::new();
    for n in 0..applicable {
        let _ = writeln!(text, "{}", applicable_policy(n));
    }
    for n in 0..others {
        let _ = writeln!(text, "{}", other_policy(n));
    }
    fs::write(folder.path().join("policies/records.cedar"), text)?;
    Ok(folder)
}

fn applicable_policy(n: usize) -> String {
    if n == 0 {
        return r#"@id("write-active") permit (principal is user, action == Action::"write", resource is record)
            when { principal has role && principal.role == "editor" }
            unless { resource has status && resource.status == "archived" };"#
            .to_owned();
    }
    if n.is_multiple_of(2) {
        format!(
            r#"@id("applies-{n}") permit (principal is user, action == Action::"write", resource is record)
            when {{ principal has role && principal.role == "role-{n}" && resource has status && resource.status != "locked-{n}" }};"#
        )
    } else {
        format!(
            r#"@id("applies-{n}") @principle("ownership") forbid (principal, action in [Action::"write", Action::"delete"], resource is record)
            when {{ context has risk && context.risk > {n} && resource has status && resource.status like "secret-{n}*" }};"#
        )
    }
}

fn other_policy(n: usize) -> String {
    let scope = match n % 4 {
        0 => format!(r#"principal is user, action == Action::"write", resource == record::"other-{n}""#),
        1 => format!(r#"principal == user::"other-{n}", action == Action::"write", resource is record"#),
        2 => format!(r#"principal in team::"team-{n}", action == Action::"write", resource is record"#),
        _ => r#"principal is user, action == Action::"read", resource is record"#.to_owned(),
    };
    format!(r#"@id("other-{n}") permit ({scope}) when {{ resource has status && resource.status != "locked-{n}" }};"#)
}
