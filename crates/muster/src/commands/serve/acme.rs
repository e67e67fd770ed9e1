use std::path::PathBuf;

use clap::Args;
use muster_server::acme::{AcmeOptions, AcmePace, LETS_ENCRYPT, parse_name};
use url::Url;

/// A certificate that is ordered.
#[derive(Debug, Args)]
pub(super) struct Order {
    /// Name to order a publicly valid certificate for, which agrees to the terms of the directory; it must lead to port 443
    /// of this server; repeat for several
    #[arg(
        id = "acme_domains",
        long = "acme-domain",
        env = "MUSTER_ACME_DOMAINS",
        hide_env_values = true,
        value_name = "NAME",
        value_delimiter = ',',
        value_parser = parse_name,
        conflicts_with_all = ["tls_cert", "tls_key", "tls_announce", "accept_new_tls_key"]
    )]
    names: Vec<String>,
    /// Mail address the directory writes to when something is wrong
    #[arg(
        id = "acme_contact",
        long = "acme-contact",
        env = "MUSTER_ACME_CONTACT",
        hide_env_values = true,
        value_name = "MAIL",
        value_parser = parse_mail,
        requires = "acme_domains"
    )]
    contact: Option<String>,
    /// Directory to order from, RFC 8555 [default: Let's Encrypt]
    #[arg(
        id = "acme_directory",
        long = "acme-directory",
        env = "MUSTER_ACME_DIRECTORY",
        hide_env_values = true,
        value_name = "URL",
        value_parser = parse_directory,
        requires = "acme_domains"
    )]
    directory: Option<String>,
    /// File with certificates, in PEM, that vouch for a directory of your own
    #[arg(
        id = "acme_ca_file",
        long = "acme-ca-file",
        env = "MUSTER_ACME_CA_FILE",
        hide_env_values = true,
        value_name = "FILE",
        requires = "acme_domains"
    )]
    ca_file: Option<PathBuf>,
}

impl Order {
    pub(super) fn options(self) -> Option<AcmeOptions> {
        let mut names = self.names;
        if names.is_empty() {
            return None;
        }
        // The first is the one machines are told; a directory takes each name once.
        let mut known = std::collections::HashSet::new();
        names.retain(|name| known.insert(name.clone()));
        Some(AcmeOptions {
            names,
            contact: self.contact,
            directory: self.directory.unwrap_or_else(|| LETS_ENCRYPT.to_owned()),
            ca_file: self.ca_file,
            pace: AcmePace::default(),
        })
    }
}

/// Parses one address, without what a `mailto` URL may carry beside it (RFC 8555, section 7.3).
fn parse_mail(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "@.!#$&'*+-/=^_`{|}~".contains(c);
    match text.split_once('@') {
        Some((user, host)) if !user.is_empty() && parse_name(host).is_ok() && text.chars().all(is_plain) => {
            Ok(text.to_owned())
        }
        _ => Err("not one mail address"),
    }
}

fn parse_directory(text: &str) -> Result<String, &'static str> {
    let url = Url::parse(text).map_err(|_| "not a URL")?;
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    if url.scheme() != "https" || !is_bare {
        return Err("give it as https://NAME/PATH, without user and fragment");
    }
    Ok(url.to_string())
}
