//! An S3 bucket as a depot. A put is one request, which S3 itself makes whole or not at all.

use opendal::{ErrorKind, Operator};

use super::{Fault, Listed};
use crate::depot::credentials::Keys;

/// Where the bucket is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) prefix: String,
    /// Amazon's own when none.
    pub(crate) endpoint: Option<String>,
    pub(crate) region: String,
}

/// The bucket with the keys to it.
#[derive(Debug)]
pub(crate) struct S3 {
    operator: Operator,
}

impl S3 {
    /// `bucket`, with `keys`; without any the requests are not signed.
    pub(crate) fn new(bucket: &Bucket, keys: Option<&Keys>) -> Result<Self, Fault> {
        // Neither ~/.aws nor an instance's own role is asked: which keys are used must not depend on where this runs.
        let mut builder = opendal::services::S3::default()
            .root(&format!("/{}", bucket.prefix))
            .bucket(&bucket.name)
            .region(&bucket.region)
            .disable_config_load()
            .disable_ec2_metadata();
        if let Some(endpoint) = &bucket.endpoint {
            builder = builder.endpoint(endpoint);
        }
        builder = match keys {
            Some(keys) => {
                let builder = builder.access_key_id(&keys.id).secret_access_key(keys.secret.reveal());
                match &keys.token {
                    Some(token) => builder.session_token(token.reveal()),
                    None => builder,
                }
            }
            None => builder.skip_signature(),
        };
        // Which HTTP client: opendal asks for it to be named once in a process; naming it again changes nothing.
        opendal::install_default();
        let operator = Operator::new(builder).map_err(fault)?;
        Ok(Self { operator })
    }

    pub(super) async fn put(&self, key: &str, bytes: &[u8]) -> Result<(), Fault> {
        self.operator.write(key, bytes.to_vec()).await.map(drop).map_err(fault)
    }

    pub(super) async fn get(&self, key: &str) -> Result<Vec<u8>, Fault> {
        self.operator.read(key).await.map(|b| b.to_vec()).map_err(fault)
    }

    pub(super) async fn size(&self, key: &str) -> Result<u64, Fault> {
        let meta = self.operator.stat(key).await.map_err(fault)?;
        Ok(meta.content_length())
    }

    pub(super) async fn remove(&self, key: &str) -> Result<(), Fault> {
        self.operator.delete(key).await.map_err(fault)
    }

    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, Fault> {
        let folder = match prefix {
            "" => String::new(),
            _ => format!("{prefix}/"),
        };
        let entries = match self.operator.list_with(&folder).recursive(true).await {
            Ok(entries) => entries,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(fault(e)),
        };
        Ok(entries
            .iter()
            .filter(|entry| entry.metadata().is_file())
            .map(|entry| Listed {
                key: entry.path().to_owned(),
                bytes: entry.metadata().content_length(),
            })
            .collect())
    }

    pub(super) async fn remove_folder(&self, prefix: &str) -> Result<(), Fault> {
        for object in self.list(prefix).await? {
            self.remove(&object.key).await?;
        }
        Ok(())
    }
}

/// Codes of S3 that mean that the keys do not serve (facts/cloud.md §5).
const DENIED: [&str; 8] = [
    "AccessDenied",
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "TokenRefreshRequired",
    "InvalidToken",
    "AccountProblem",
    "AuthorizationHeaderMalformed",
];

fn fault(e: opendal::Error) -> Fault {
    let text = short(&e);
    let is_denied = e.kind() == ErrorKind::PermissionDenied || DENIED.iter().any(|code| text.contains(code));
    match e.kind() {
        _ if is_denied => Fault::Denied(text),
        _ if text.contains("NoSuchBucket") => Fault::Other(text),
        ErrorKind::NotFound => Fault::Missing,
        ErrorKind::RateLimited => Fault::Passing(text),
        _ if text.contains("QuotaExceeded") || text.contains("StorageFull") => Fault::Full(text),
        _ if e.is_temporary() || text.contains("RequestTimeTooSkewed") => Fault::Passing(text),
        _ => Fault::Other(text),
    }
}

/// opendal prints its whole context; a person needs what the server said.
fn short(e: &opendal::Error) -> String {
    let mut text = e.message().lines().next().unwrap_or_default().to_owned();
    let mut source = std::error::Error::source(e);
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
