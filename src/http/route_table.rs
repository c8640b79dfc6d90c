//! The routes of an application, as they are registered and as the API document lists them.

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::web::{Data, ServiceConfig};
use actix_web::{Resource, Route};

use super::authorization::Access;

/// One method of one path, with its authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Operation {
    /// The path as OpenAPI writes it: `/v1/users/{name}`.
    pub path: String,
    /// The path under which the operation is described; another one if its resource has several paths.
    pub described_at: String,
    /// The method. HEAD is handled like GET and not listed.
    pub method: Method,
    /// The authorization.
    pub access: Access,
}

/// All operations of an application.
#[derive(Debug, Clone)]
pub(super) struct Operations(pub Vec<Operation>);

/// The template of the route that a request fits, such as `/v1/entities/{type}/{id}`: data of the request's resource.
#[derive(Debug)]
pub(super) struct RouteTemplate(pub Arc<str>);

/// A resource with what the API document says about it.
pub(super) struct Routed {
    /// The resource.
    pub resource: Resource,
    /// Its paths.
    pub paths: Vec<String>,
    /// Its methods with their authorization.
    pub methods: Vec<(Method, Access)>,
}

/// Registers routes and remembers them for the API document.
pub(super) struct RouteTable<'a> {
    config: &'a mut ServiceConfig,
    operations: Vec<Operation>,
}

impl<'a> RouteTable<'a> {
    /// A table without routes.
    pub fn new(config: &'a mut ServiceConfig) -> Self {
        Self { config, operations: Vec::new() }
    }

    /// Adds a resource.
    pub fn service(&mut self, routed: Routed) -> &mut Self {
        let paths: Vec<String> = routed.paths.iter().map(|path| template(path)).collect();
        let described_at = paths.last().cloned().unwrap_or_default();
        for path in &paths {
            self.operations.extend(routed.methods.iter().map(|(method, access)| Operation {
                path: path.clone(),
                described_at: described_at.clone(),
                method: method.clone(),
                access: *access,
            }));
        }
        self.config.service(routed.resource.app_data(RouteTemplate(described_at.into())));
        self
    }

    /// Adds data for handlers and extractors.
    pub fn app_data<T: 'static>(&mut self, data: T) -> &mut Self {
        self.config.app_data(data);
        self
    }

    /// Sets what answers requests to other paths.
    pub fn default_service(&mut self, route: Route) -> &mut Self {
        self.config.default_service(route);
        self
    }

    /// The operations so far.
    #[cfg(test)]
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// Makes the operations available to the handler of the API document.
    pub fn publish(self) {
        self.config.app_data(Data::new(Operations(self.operations)));
    }
}

/// A pattern of the router as OpenAPI writes it: without the regular expressions of its parameters.
fn template(pattern: &str) -> String {
    let mut template = String::with_capacity(pattern.len());
    let mut is_expression = false;
    for letter in pattern.chars() {
        match letter {
            ':' if template.rfind('{') > template.rfind('}') => is_expression = true,
            '}' => {
                is_expression = false;
                template.push('}');
            }
            _ if is_expression => {}
            other => template.push(other),
        }
    }
    template
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_has_no_regular_expression() {
        for (pattern, expected) in [
            ("/v1/users", "/v1/users"),
            ("/v1/entities/{type}/{id}", "/v1/entities/{type}/{id}"),
            ("/v1/audit/log/tile/{name:.*}", "/v1/audit/log/tile/{name}"),
            ("/v1/a:b/{c}", "/v1/a:b/{c}"),
        ] {
            assert_eq!(template(pattern), expected);
        }
    }
}
