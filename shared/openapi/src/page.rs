//! The document as a page: plain HTML without scripts, one style sheet in it, nothing from elsewhere.
//!
//! What always holds: everything that comes from the document is escaped, and the page's policy lets the browser load nothing
//! but the one style, named by its digest.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::{document, resolve};

const STYLE: &str = include_str!("page.css");

/// The `Content-Security-Policy` of the page.
pub fn policy() -> String {
    let digest = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
}

/// The page.
pub fn page() -> String {
    let document = document();
    let mut out = Html(String::with_capacity(512 * 1024));
    let title = text(&document["info"]["title"]);
    out.raw(&format!("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title} API</title><style>{STYLE}</style>"));
    out.raw("<nav aria-label=\"Contents\"><h2>Contents</h2><ul>");
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        out.raw(&format!("<li><a href=\"#tag-{name}\">{name}</a>"));
    }
    out.raw("<li><a href=\"#schemas\">Schemas</a><li><a href=\"openapi.json\">openapi.json</a></ul></nav><main>");
    out.raw(&format!("<h1>{title} API <small>{}</small></h1><p>{}</p>", text(&document["info"]["version"]), text(&document["info"]["summary"])));
    out.prose(&document["info"]["description"]);
    out.raw("<h2>Keys</h2><dl>");
    for (_, scheme) in fields(&document["components"]["securitySchemes"]) {
        out.raw(&format!("<dt><code>{}</code> ({})<dd>", text(&scheme["name"]), text(&scheme["in"])));
        out.prose(&scheme["description"]);
    }
    out.raw("</dl>");
    for tag in list(&document["tags"]) {
        let name = text(&tag["name"]);
        out.raw(&format!("<section><h2 id=\"tag-{name}\">{name}</h2>"));
        out.prose(&tag["description"]);
        for (path, item) in fields(&document["paths"]) {
            for (method, operation) in fields(item).filter(|(_, operation)| operation["tags"][0] == tag["name"]) {
                out.operation(method, path, item, operation);
            }
        }
        out.raw("</section>");
    }
    out.raw("<section><h2 id=\"schemas\">Schemas</h2>");
    for (name, schema) in fields(&document["components"]["schemas"]) {
        out.raw(&format!("<h3 id=\"schema-{name}\">{name}</h3>"));
        out.schema(schema);
        for example in list(&schema["examples"]) {
            out.example(example);
        }
    }
    out.raw("</section></main></html>");
    out.0
}

struct Html(String);

impl Html {
    fn raw(&mut self, html: &str) {
        self.0.push_str(html);
    }

    fn operation(&mut self, method: &str, path: &str, item: &Value, operation: &Value) {
        let id = text(&operation["operationId"]);
        let method = escape(&method.to_uppercase());
        let deprecated = if operation["deprecated"] == true { " <em>deprecated</em>" } else { "" };
        self.raw(&format!(
            "<details id=\"{id}\"><summary><b class=\"{method}\">{method}</b> <code>{}</code> {}{deprecated}</summary>",
            escape(path),
            text(&operation["summary"])
        ));
        self.prose(&operation["description"]);
        let security = operation.get("security").unwrap_or(&document()["security"]);
        let open = list(security).any(|scheme| scheme.as_object().is_some_and(Map::is_empty));
        let only_open = open && list(security).count() == 1;
        self.raw(if only_open {
            "<p>No key."
        } else if open {
            "<p>With a key, or without where what is asked for is open."
        } else {
            "<p>With a key."
        });
        let parameters: Vec<&Value> = list(&item["parameters"]).chain(list(&operation["parameters"])).map(resolve).collect();
        if !parameters.is_empty() {
            self.raw("<h4>Parameters</h4><table><thead><tr><th>Name<th>In<th>Value<tbody>");
            for parameter in parameters {
                let required = if parameter["required"] == true { " <em>required</em>" } else { "" };
                self.raw(&format!("<tr><td><code>{}</code>{required}<td>{}<td>", text(&parameter["name"]), text(&parameter["in"])));
                self.schema(&parameter["schema"]);
                self.prose(&parameter["description"]);
                if let Some(example) = parameter.get("example") {
                    self.raw(&format!("<p>For example <code>{}</code>", text(example)));
                }
            }
            self.raw("</table>");
        }
        if let Some(body) = operation.get("requestBody") {
            self.raw("<h4>Body</h4>");
            self.prose(&body["description"]);
            self.contents(&body["content"]);
        }
        self.raw("<h4>Answers</h4><table><thead><tr><th>Status<th>What<tbody>");
        for (status, response) in fields(&operation["responses"]) {
            let response = resolve(response);
            self.raw(&format!("<tr><td>{}<td>", escape(status)));
            self.prose(&response["description"]);
            for (name, header) in fields(&response["headers"]) {
                self.raw(&format!("<p>Header <code>{}</code>: {}", escape(name), text(&header["description"])));
            }
            self.contents(&response["content"]);
        }
        self.raw("</table>");
        for (name, callback) in fields(&operation["callbacks"]) {
            for (url, item) in fields(callback) {
                for (method, operation) in fields(item) {
                    self.raw(&format!("<h4>Callback {}: {} <code>{}</code></h4>", escape(name), escape(&method.to_uppercase()), escape(url)));
                    self.prose(&operation["description"]);
                    self.contents(&operation["requestBody"]["content"]);
                }
            }
        }
        self.raw("</details>");
    }

    fn contents(&mut self, contents: &Value) {
        for (kind, content) in fields(contents) {
            self.raw(&format!("<p><code>{}</code> ", escape(kind)));
            if let Some(schema) = content.get("schema") {
                self.schema(schema);
            }
            if let Some(example) = content.get("example") {
                self.example(example);
            }
            for (_, example) in fields(&content["examples"]) {
                self.example(&example["value"]);
            }
        }
    }

    fn example(&mut self, example: &Value) {
        let short = example.as_object().is_some_and(|object| object.len() == 1);
        let json = if short { example.to_string() } else { serde_json::to_string_pretty(example).unwrap_or_default() };
        self.raw(&format!("<pre>{}</pre>", escape(&json)));
    }

    fn schema(&mut self, schema: &Value) {
        if let Some(name) = schema["$ref"].as_str().and_then(|reference| reference.strip_prefix("#/components/schemas/")) {
            self.raw(&format!("<a href=\"#schema-{0}\">{0}</a>", escape(name)));
            return;
        }
        let alternatives: Vec<&Value> = list(&schema["anyOf"]).collect();
        for (position, alternative) in alternatives.iter().enumerate() {
            self.raw(if position == 0 { "" } else { " or " });
            self.schema(alternative);
        }
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().map(text).collect::<Vec<_>>().join(" or "),
            kind => text(kind),
        };
        let mut words = vec![kind];
        words.extend(schema.get("const").map(|value| format!("<code>{}</code>", escape(&value.to_string()))));
        let values: Vec<String> = list(&schema["enum"]).map(|value| format!("<code>{}</code>", text(value))).collect();
        if !values.is_empty() {
            words.push(format!("one of {}", values.join(", ")));
        }
        for (word, before) in [
            ("minimum", "from"),
            ("maximum", "to"),
            ("minLength", "length from"),
            ("maxLength", "length to"),
            ("minItems", "entries from"),
            ("maxItems", "entries to"),
            ("pattern", "like"),
            ("format", "format"),
            ("default", "default"),
        ] {
            words.extend(schema.get(word).map(|value| format!("{before} <code>{}</code>", text(value))));
        }
        self.raw(&words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", "));
        if let Some(items) = schema.get("items") {
            self.raw(" of ");
            self.schema(items);
        }
        self.prose(&schema["description"]);
        let required: Vec<&Value> = list(&schema["required"]).collect();
        let named: Vec<(&String, &Value)> = fields(&schema["properties"]).collect();
        let any = schema.get("additionalProperties").filter(|any| any.is_object());
        if named.is_empty() && any.is_none() {
            return;
        }
        self.raw("<dl>");
        for (name, property) in named {
            let mark = if required.iter().any(|wanted| *wanted == name.as_str()) { "" } else { " <em>optional</em>" };
            self.raw(&format!("<dt><code>{}</code>{mark}<dd>", escape(name)));
            self.schema(property);
        }
        if let Some(any) = any {
            self.raw("<dt>any key<dd>");
            self.schema(any);
        }
        self.raw("</dl>");
    }

    /// Paragraphs with code between backticks.
    fn prose(&mut self, value: &Value) {
        for paragraph in value.as_str().unwrap_or_default().split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
            self.raw("<p>");
            for (position, piece) in paragraph.trim().split('`').enumerate() {
                let piece = escape(piece);
                // Writing to a String never fails.
                let _ = if position % 2 == 1 { write!(self.0, "<code>{piece}</code>") } else { write!(self.0, "{piece}") };
            }
        }
    }
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The members of an object.
fn fields(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => escape(text),
        other => escape(&other.to_string()),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_every_operation_and_schema_and_nothing_from_elsewhere() {
        let page = page();
        for (path, item) in fields(&document()["paths"]) {
            assert!(page.contains(&format!("<code>{}</code>", escape(path))), "{path}");
            for (_, operation) in fields(item).filter(|(_, operation)| operation.is_object()) {
                assert!(page.contains(&format!("<details id=\"{}\">", operation["operationId"].as_str().unwrap())), "{path}");
            }
        }
        for (name, _) in fields(&document()["components"]["schemas"]) {
            assert!(page.contains(&format!("id=\"schema-{name}\"")), "{name}");
        }
        for forbidden in ["<script", " style=", " onclick", "src=", "href=\"http"] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
    }

    #[test]
    fn the_style_of_the_page_is_the_one_its_policy_names() {
        let page = page();
        let style = page.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
        assert!(policy().contains(&STANDARD.encode(Sha256::digest(style.as_bytes()))));
        assert!(!policy().contains("unsafe"));
    }
}
