//! The settings, and the cookie that they describe.

use jackfield_plugin::request;

#[derive(serde::Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct Settings {
    pub name: String,
    path: String,
    max_age: Option<u32>,
    secure: Option<bool>,
    http_only: bool,
    same_site: SameSite,
    pub salt: String,
}

#[derive(serde::Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
enum SameSite {
    Strict,
    Lax,
    None,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "jackfield".to_owned(),
            path: "/".to_owned(),
            max_age: None,
            secure: None,
            http_only: true,
            same_site: SameSite::Lax,
            salt: String::new(),
        }
    }
}

impl Settings {
    pub fn check(&self) -> Result<(), String> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if self.name.is_empty() || !self.name.bytes().all(token) {
            return Err(format!("\"{}\" is no name for a cookie: letters, digits and !#$%&'*+-.^_`|~ only", self.name));
        }
        let plain = |byte: u8| (b' '..=b'~').contains(&byte) && byte != b';';
        if !self.path.starts_with('/') || !self.path.bytes().all(plain) {
            return Err(format!("\"path\" must begin with / and have no ;, not \"{}\"", self.path));
        }
        if self.same_site == SameSite::None && self.secure == Some(false) {
            return Err("browsers refuse \"same-site\" none unless \"secure\" is true".to_owned());
        }
        Ok(())
    }

    /// The value of `Set-Cookie` that gives a client this session.
    pub fn cookie(&self, session: u64) -> String {
        let age = self.max_age.map(|seconds| format!("; Max-Age={seconds}")).unwrap_or_default();
        let secure = self.secure.unwrap_or_else(request::is_tls);
        format!(
            "{}={session:016x}; Path={}{age}{}{}; SameSite={:?}",
            self.name,
            self.path,
            if secure { "; Secure" } else { "" },
            if self.http_only { "; HttpOnly" } else { "" },
            self.same_site,
        )
    }
}
