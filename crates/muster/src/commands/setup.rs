use clap::Args;
use muster_client::api::Answer;
use muster_wire::people::{MintedToken, Setup as Request};
use muster_wire::text::{Line, Name};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::account::new_password;
use crate::cli::Global;
use crate::context::{Context, Draft};
use crate::failure::Failure;
use crate::input::{Source, wire_text};
use crate::operator::client;
use crate::output::record;

const EXAMPLES: &str = "\
Takes the one-time code that `muster serve` prints and keeps in its data folder, makes the admin,
and keeps the admin's token in the context file, which only you can read.

Examples:
  muster setup --code-file muster-data/setup-code
  muster setup 7KQ2-9XWD-0M4T-C3HR --admin-name ada
  muster setup --code-file muster-data/setup-code --public-url https://muster.example:8643
  muster setup --code-file muster-data/setup-code --login ada
  muster setup --code-file muster-data/setup-code --show-token -q > admin-token";

/// Make the first admin of a new server
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Setup {
    /// The one-time setup code; read from standard input when neither it nor --code-file is given
    #[arg(conflicts_with = "code_file")]
    code: Option<String>,
    /// File with the setup code
    #[arg(long, value_name = "FILE")]
    code_file: Option<Source>,
    /// Name of the first admin
    #[arg(long, value_name = "NAME", default_value = "admin", value_parser = wire_text::<Name>)]
    admin_name: Name,
    /// Where machines reach this server, best first; this machine's own address when not said
    #[arg(long = "public-url", value_name = "URL", value_parser = public_url)]
    public_urls: Vec<Line<256>>,
    /// Login of the first admin, so that they can sign in with a browser, too; their password is asked for
    #[arg(long, value_name = "LOGIN", value_parser = wire_text::<Line<64>>)]
    login: Option<Line<64>>,
    /// Write the admin's token to standard output, too
    #[arg(long)]
    show_token: bool,
}

fn public_url(text: &str) -> Result<Line<256>, String> {
    match Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "https" | "http") && url.has_host() => wire_text(text),
        _ => Err("expected an address like https://muster.example:8643".to_owned()),
    }
}

impl Setup {
    pub(crate) async fn run(self, global: &Global) -> Result<(), Failure> {
        let context_path = global.context_path()?;
        let draft = Draft::new(&context_path)?;
        let request = self.request()?;
        let url = global.url_or_default()?;
        let minted = client(url.clone(), &global.pin, None)?.setup(&request).await?;
        let token = SecretString::from(minted.token.clone());
        let kept = draft.commit(&Context { url, pins: global.pin.clone(), team: None, token });
        if let Err(failure) = kept {
            // The code is used up: a token that is not shown now would be lost, and the server with it.
            eprintln!("the token could not be kept; store it yourself, it is shown this once");
            global.output().line(&minted.token)?;
            return Err(failure);
        }
        self.report(global, &minted)?;
        global.output().hint(&format!("you are the admin; your token is kept in {}", context_path.display()));
        global.output().hint("next: muster ticket mint-token, then `muster-agent join` on the machine");
        Ok(())
    }

    fn request(&self) -> Result<Request, Failure> {
        let code = match (&self.code, &self.code_file) {
            (Some(code), _) => SecretString::from(code.as_str()),
            (None, Some(file)) => file.read_line("setup code")?,
            (None, None) => Source::Stdin.read_line("setup code")?,
        };
        let code = wire_text(code.expose_secret()).map_err(|reason| {
            Failure::usage(format!("the setup code {reason}"), "copy it again as `muster serve` printed it")
        })?;
        Ok(Request {
            code,
            admin_name: self.admin_name.clone(),
            public_urls: self.public_urls.iter().cloned().collect(),
            login: self.login.clone(),
            password: self.login.as_ref().map(|_| new_password()).transpose()?,
        })
    }

    fn report(&self, global: &Global, minted: &Answer<MintedToken>) -> Result<(), Failure> {
        let output = global.output();
        if output.is_json() && !self.show_token {
            return output.line(&without_token(minted));
        }
        let token = if self.show_token { minted.token.clone() } else { String::new() };
        let table = |minted: &MintedToken| {
            record(&[
                ("User", minted.user_id.to_string()),
                ("Team", minted.team_id.to_string()),
                ("Token", token.clone()),
            ])
        };
        let name =
            |minted: &MintedToken| if self.show_token { token.clone() } else { minted.user_id.to_string() };
        output.show(minted, name, table)
    }
}

/// Writes what the setup made, but for the token.
fn without_token(minted: &MintedToken) -> String {
    let MintedToken { token_id, user_id, team_id, token: _ } = minted;
    serde_json::json!({ "token_id": token_id, "user_id": user_id, "team_id": team_id }).to_string()
}

#[cfg(test)]
mod tests;
