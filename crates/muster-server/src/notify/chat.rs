//! Chats: Slack, Teams, Matrix. Each body is of parts that the chat shows as they are, so that nothing in them is
//! markup, a link with a false name, or a call to everybody.

use http::Method;
use muster_wire::notification::{MatrixConfig, SlackConfig, TeamsConfig};
use serde_json::{Value, json};
use url::Url;

use super::text::{Line, Message, when};
use super::{SendFailure, Sent, post};
use crate::outbound::Gate;

/// Chats cut or refuse what is longer.
const MAX_BYTES: usize = 8000;

/// Posts a message to an incoming webhook of Slack.
pub async fn send_slack(gate: &Gate, config: &SlackConfig, message: &Message) -> Result<Sent, SendFailure> {
    post::send(gate, Method::POST, config.url.expose(), None, &slack(message)).await
}

/// Posts a message to a workflow of Teams.
pub async fn send_teams(gate: &Gate, config: &TeamsConfig, message: &Message) -> Result<Sent, SendFailure> {
    post::send(gate, Method::POST, config.url.expose(), None, &teams(message)).await
}

/// Puts a message into a room of Matrix; the homeserver takes one message of a name only once.
pub async fn send_matrix(gate: &Gate, config: &MatrixConfig, message: &Message) -> Result<Sent, SendFailure> {
    let url = matrix_url(config, &message.key)?;
    post::send(gate, Method::PUT, &url, Some(config.token.expose()), &matrix(message)).await
}

fn matrix_url(config: &MatrixConfig, key: &str) -> Result<Url, SendFailure> {
    let mut url = config.url.expose().clone();
    url.set_query(None);
    let path = ["_matrix", "client", "v3", "rooms", config.room.as_str(), "send", "m.room.message", key];
    url.path_segments_mut()
        .map_err(|()| SendFailure::new("the URL cannot be used"))?
        .pop_if_empty()
        .extend(path);
    Ok(url)
}

/// The text that notifications show, and a block of `text` elements, in which Slack reads no markup.
fn slack(message: &Message) -> Value {
    let message = message.clone().fitting(MAX_BYTES);
    let mut elements = vec![
        json!({ "type": "text", "text": message.subject, "style": { "bold": true } }),
        json!({ "type": "text", "text": "\n" }),
    ];
    for line in &message.lines {
        elements.push(json!({ "type": "text", "text": format!("{}  {}\n", when(line.at), line.says) }));
        if let Some(next) = &line.next {
            elements.push(json!({ "type": "text", "text": next, "style": { "code": true } }));
            elements.push(json!({ "type": "text", "text": "\n" }));
        }
    }
    if let Some(rest) = message.rest() {
        elements.push(json!({ "type": "text", "text": format!("{rest}\n") }));
    }
    if let Some(link) = &message.link {
        elements.push(json!({ "type": "link", "url": link, "text": link }));
    }
    json!({
        "text": inert(&message.subject),
        "mrkdwn": false,
        "unfurl_links": false,
        "unfurl_media": false,
        "blocks": [{ "type": "rich_text", "elements": [{ "type": "rich_text_section", "elements": elements }] }],
    })
}

/// Escapes what Slack reads in a text (`&`, `<`, `>`), and takes away what its likes read besides: `@`, `[`, `` ` ``.
fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => inert.push_str("&amp;"),
            '<' => inert.push_str("&lt;"),
            '>' => inert.push_str("&gt;"),
            '@' => inert.push('＠'),
            '[' => inert.push('［'),
            ']' => inert.push('］'),
            '`' => inert.push('\''),
            c => inert.push(c),
        }
    }
    inert
}

/// An adaptive card of rich text: Teams reads Markdown in a `TextBlock`, and none in a `TextRun`.
fn teams(message: &Message) -> Value {
    let message = message.clone().fitting(MAX_BYTES);
    let mut body = vec![block(&[json!({ "type": "TextRun", "text": message.subject, "weight": "Bolder" })])];
    body.extend(message.lines.iter().map(|line| block(&runs(line))));
    if let Some(rest) = message.rest() {
        body.push(block(&[json!({ "type": "TextRun", "text": rest })]));
    }
    let mut card = json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    });
    if let Some(link) = &message.link {
        card["actions"] = json!([{ "type": "Action.OpenUrl", "title": "Open Muster", "url": link }]);
    }
    let attachment = json!({ "contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": null, "content": card });
    json!({ "type": "message", "attachments": [attachment] })
}

fn block(inlines: &[Value]) -> Value {
    json!({ "type": "RichTextBlock", "inlines": inlines })
}

fn runs(line: &Line) -> Vec<Value> {
    let mut runs = vec![
        json!({ "type": "TextRun", "text": format!("{}  ", when(line.at)), "isSubtle": true }),
        json!({ "type": "TextRun", "text": line.says }),
    ];
    if let Some(next) = &line.next {
        runs.push(json!({ "type": "TextRun", "text": format!(" → {next}"), "fontType": "Monospace" }));
    }
    runs
}

/// Plain text without a formatted body; `m.mentions` says that it calls nobody.
fn matrix(message: &Message) -> Value {
    let message = message.clone().fitting(MAX_BYTES);
    let body = format!("{}\n{}", message.subject, message.plain());
    json!({ "msgtype": "m.text", "body": body, "m.mentions": {} })
}

#[cfg(test)]
mod tests;
