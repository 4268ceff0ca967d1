//! The API's description in OpenAPI 3.1, put together from the endpoints: `GET /openapi.json`.
//!
//! It is there for everybody: it says nothing that the source does not.

mod values;

use axum::Router;
use axum::http::header;
use axum::routing::get;
use serde_json::json;
use utoipa::openapi::path::Operation;
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{
    Components, Content, InfoBuilder, OpenApi, OpenApiBuilder, PathItem, Ref, ResponseBuilder,
};

use crate::http::problem::{KINDS, type_of};
use crate::ops::tokens::Scope;

/// How the API is asked, in short.
const DESCRIPTION: &str = "What the CRM and operators read and do. Lists are read by page, both ways: \
    `next_cursor` of one is the `cursor` of the next, `prev_cursor` that of the one before; what is added meanwhile moves none. \
    `count=true` counts up to 10,000 rows. Unknown parameters and fields are refused. Years are 0001 to 9998. Money is in minor \
    units of the currency next to it, moments are RFC 3339.\n\n\
    A token of `memberflow tokens` has 600 requests a minute, the admin token 6,000: `RateLimit-Limit`, `RateLimit-Remaining` and \
    `RateLimit-Reset` (seconds) stand in each answer, `Retry-After` in the 429 of those beyond. What goes wrong is `application/problem+json`; its \
    `help` is an address here that explains it, `/problems` explains all.";
/// What the scheme of the token is called.
const BEARER: &str = "token";

/// What stands above the endpoints.
pub(super) fn head() -> OpenApi {
    let info = InfoBuilder::new()
        .title("memberflow")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .build();
    let mut components = Components::new();
    components.add_security_scheme(BEARER, SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)));
    components.schemas.insert("Problem".to_owned(), problem().into());
    OpenApiBuilder::new().info(info).components(Some(components)).build()
}

/// Says that each operation needs a token with `scope`.
pub(super) fn require(openapi: &mut OpenApi, scope: Scope) {
    for operation in openapi.paths.paths.values_mut().flat_map(operations) {
        operation.security = Some(vec![SecurityRequirement::new(BEARER, [scope.as_str()])]);
    }
}

/// Adds to each operation what all have in common: what parameters can be, and problems.
pub(super) fn complete(mut openapi: OpenApi) -> OpenApi {
    openapi.components.as_mut().map(values::describe_fields);
    for item in openapi.paths.paths.values_mut() {
        for operation in operations(item) {
            values::describe(operation);
            let content = Content::new(Some(Ref::from_schema_name("Problem")));
            let response = ResponseBuilder::new()
                .description("What went wrong, and what to do")
                .content("application/problem+json", content)
                .build();
            operation.responses.responses.insert("default".to_owned(), response.into());
        }
    }
    openapi
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.post, &mut item.patch, &mut item.put, &mut item.delete].into_iter().flatten()
}

/// A problem: every `type` that there is, and what each document has.
fn problem() -> Object {
    let text = |description: &str| {
        ObjectBuilder::new().schema_type(Type::String).description(Some(description)).build()
    };
    let kinds = KINDS.iter().map(|kind| json!(type_of(kind)));
    let kind = ObjectBuilder::new()
        .schema_type(Type::String)
        .enum_values(Some(kinds))
        .description(Some("Names the problem, for good: `/problems` lists all"))
        .build();
    ObjectBuilder::new()
        .description(Some("What went wrong (RFC 9457)"))
        .property("type", kind)
        .required("type")
        .property("title", text("The problem in a few words"))
        .required("title")
        .property("status", ObjectBuilder::new().schema_type(Type::Integer).build())
        .required("status")
        .property("detail", text("What to do about it"))
        .required("detail")
        .property("help", text("Where this service explains the problem"))
        .required("help")
        .build()
}

/// Serves the description.
pub(super) fn route(openapi: &OpenApi) -> Router {
    // A description of texts and numbers always has a JSON form.
    let text = openapi.to_json().unwrap_or_default();
    Router::new()
        .route("/openapi.json", get(|| async move { ([(header::CONTENT_TYPE, "application/json")], text) }))
}
