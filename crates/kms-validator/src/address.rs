//! Where a node listens.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::identity::NodeId;

/// Where a node listens for its signer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// A unix socket, by its absolute path: `unix:///run/node/privval.sock`.
    Unix(PathBuf),
    /// A host and a port: `tcp://10.0.0.5:26659`, or with the id of the node before it,
    /// `tcp://ID@10.0.0.5:26659`.
    Tcp {
        /// Host and port.
        host: String,
        /// The one node that is spoken to there.
        id: Option<NodeId>,
    },
}

/// A text that is no address of a node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no address of a node: {why}")]
pub struct InvalidAddress {
    text: String,
    why: &'static str,
}

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = |why| InvalidAddress { text: text.chars().take(200).collect(), why };
        if let Some(path) = text.strip_prefix("unix://") {
            let path = PathBuf::from(path);
            return path.is_absolute().then_some(Self::Unix(path)).ok_or_else(|| {
                invalid("the path of a unix socket is absolute: unix:///run/node/privval.sock")
            });
        }
        let rest = text
            .strip_prefix("tcp://")
            .ok_or_else(|| invalid("it begins with unix:// or tcp://"))?;
        let (id, host) = match rest.rsplit_once('@') {
            Some((id, host)) => {
                let id = id.parse().map_err(|_| invalid("the node's id has 40 hex digits"))?;
                (Some(id), host)
            }
            None => (None, rest),
        };
        let port = host.rsplit_once(':').and_then(|(name, port)| {
            port.parse::<u16>().ok().filter(|port| *port > 0 && !name.is_empty())
        });
        port.ok_or_else(|| invalid("a host and a port: tcp://10.0.0.5:26659"))?;
        Ok(Self::Tcp { host: host.to_owned(), id })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp { host, id: None } => write!(f, "tcp://{host}"),
            Self::Tcp { host, id: Some(id) } => write!(f, "tcp://{id}@{host}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written_back() {
        let id = "0123456789abcdef0123456789abcdef01234567";
        for text in [
            "unix:///run/node/privval.sock",
            "tcp://127.0.0.1:26659",
            "tcp://[::1]:26659",
            "tcp://node.example:1",
            &format!("tcp://{id}@10.0.0.5:26659"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_what_one_is() {
        for (text, why) in [
            ("127.0.0.1:26659", "unix:// or tcp://"),
            ("unix://privval.sock", "absolute"),
            ("tcp://127.0.0.1", "a host and a port"),
            ("tcp://127.0.0.1:0", "a host and a port"),
            ("tcp://:26659", "a host and a port"),
            ("tcp://127.0.0.1:70000", "a host and a port"),
            ("tcp://beef@127.0.0.1:26659", "40 hex digits"),
            ("noise://x@127.0.0.1:26659", "unix:// or tcp://"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
