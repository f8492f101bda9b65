//! From the settings of a task to a request, with its secrets read anew for every attempt.

use super::http::Outgoing;
use super::spec::{Auth, Body, Spec, Text};
use crate::model::{Desk, Failure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use url::Url;
use url::form_urlencoded::Serializer;

/// What is the same for every page of a job.
pub(super) struct Parts {
    headers: Vec<(String, String)>,
    auth: Vec<(String, String)>,
    query: Vec<(String, String)>,
    /// Names of the parameters whose values are secret: they stand in no URL that is kept.
    secret_params: Vec<String>,
    body: Option<(String, Bytes)>,
    hide: Vec<String>,
    key: Option<(String, String)>,
}

/// Whether anything of a request has to be read from elsewhere.
pub(super) fn has_secrets(spec: &Spec) -> bool {
    let secret = |text: &Text| matches!(text, Text::Secret(_));
    let pairs = |list: &[(String, Text)]| list.iter().any(|(_, text)| secret(text));
    let in_body = matches!(&spec.request.body, Body::Form(form) if pairs(form));
    spec.request.auth.is_some() || pairs(&spec.request.headers) || pairs(&spec.request.query) || in_body
}

impl Parts {
    /// Reads what is kept elsewhere. Blocks, if anything is. `key` is the same in every attempt of a job.
    pub(super) fn read(spec: &Spec, key: &str, desk: &dyn Desk) -> Result<Self, Failure> {
        let request = &spec.request;
        let mut hide = Vec::new();
        let mut value = |text: &Text| match text {
            Text::Plain(text) => Ok::<_, Failure>(text.clone()),
            Text::Secret(secret) => {
                let value = desk.secret(secret)?;
                conceal(&mut hide, &value);
                Ok(value)
            }
        };
        let mut pairs = |list: &[(String, Text)]| -> Result<Vec<(String, String)>, Failure> {
            list.iter().map(|(name, text)| Ok((name.clone(), value(text)?))).collect()
        };
        let headers = pairs(&request.headers)?;
        let query = pairs(&request.query)?;
        let body = match &request.body {
            Body::None => None,
            Body::Json(json) => Some(("application/json".to_owned(), Bytes::from(json.clone()))),
            Body::Text { content_type, text } => Some((content_type.clone(), Bytes::from(text.clone()))),
            Body::Form(form) => {
                let form = Serializer::new(String::new()).extend_pairs(pairs(form)?).finish();
                Some(("application/x-www-form-urlencoded".to_owned(), Bytes::from(form)))
            }
        };
        let auth = match &request.auth {
            None => Vec::new(),
            Some(Auth::Bearer(token)) => {
                let token = value(&Text::Secret(token.clone()))?;
                vec![("Authorization".to_owned(), format!("Bearer {token}"))]
            }
            Some(Auth::Basic { user, password }) => {
                let password = value(&Text::Secret(password.clone()))?;
                let packed = STANDARD.encode(format!("{user}:{password}"));
                hide.push(packed.clone());
                vec![("Authorization".to_owned(), format!("Basic {packed}"))]
            }
            Some(Auth::Header { name, value: secret }) => {
                vec![(name.clone(), value(&Text::Secret(secret.clone()))?)]
            }
        };
        let is_secret = |(name, text): &(String, Text)| matches!(text, Text::Secret(_)).then(|| name.clone());
        let secret_params = request.query.iter().filter_map(is_secret).collect();
        let key = request.idempotency_key.as_ref().map(|name| (name.clone(), key.to_owned()));
        Ok(Self { headers, auth, query, secret_params, body, hide, key })
    }

    /// The request for a URL. `more`: fields of the header for this request alone.
    pub(super) fn outgoing(&self, spec: &Spec, url: &Url, max_bytes: u64, more: Vec<(String, String)>) -> Outgoing {
        let mut headers = self.headers.clone();
        headers.extend(self.key.clone());
        headers.extend(more);
        Outgoing {
            method: spec.request.method.clone(),
            url: self.dressed(url),
            headers,
            auth: self.auth.clone(),
            body: self.body.clone(),
            repeatable: spec.request.is_repeatable(),
            max_bytes,
            hide: self.hide.clone(),
        }
    }

    /// The URL with the parameters of the configuration.
    fn dressed(&self, url: &Url) -> Url {
        if self.query.is_empty() {
            return url.clone();
        }
        let ours = |name: &str| self.query.iter().any(|(own, _)| own == name);
        let mut dressed = without(url, &ours);
        dressed.query_pairs_mut().extend_pairs(&self.query);
        dressed
    }

    /// The URL without the parameters that are secret: a server may repeat them where it names the next page.
    pub(super) fn bare(&self, url: &Url) -> Url {
        if self.secret_params.is_empty() {
            url.clone()
        } else {
            without(url, &|name| self.secret_params.iter().any(|s| s == name))
        }
    }

    /// A text without the values of secrets.
    pub(super) fn concealed(&self, mut text: String) -> String {
        for secret in &self.hide {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "[hidden]");
            }
        }
        text
    }

    /// Everything that the answer depends on beside the URL, for its name in the cache: who asks, too.
    pub(super) fn identity(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let mut add = |text: &str| {
            hasher.update(&(text.len() as u64).to_le_bytes());
            hasher.update(text.as_bytes());
        };
        for (name, value) in self.headers.iter().chain(&self.auth).chain(&self.query) {
            add(name);
            add(value);
        }
        if let Some((kind, bytes)) = &self.body {
            add(kind);
            hasher.update(bytes);
        }
        hasher.finalize()
    }
}

/// A secret may come back as it is, or as it stands in a URL.
fn conceal(hide: &mut Vec<String>, value: &str) {
    if value.is_empty() {
        return;
    }
    let encoded: String = url::form_urlencoded::byte_serialize(value.as_bytes()).collect();
    if encoded != value {
        hide.push(encoded);
    }
    hide.push(value.to_owned());
}

fn without(url: &Url, drop: &dyn Fn(&str) -> bool) -> Url {
    if url.query().is_none() || !url.query_pairs().any(|(name, _)| drop(&name)) {
        return url.clone();
    }
    let left: Vec<(String, String)> =
        url.query_pairs().filter(|(name, _)| !drop(name)).map(|(n, v)| (n.into_owned(), v.into_owned())).collect();
    let mut bare = url.clone();
    bare.set_query(None);
    if !left.is_empty() {
        bare.query_pairs_mut().extend_pairs(left);
    }
    bare
}
