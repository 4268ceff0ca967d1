//! Answers for requests that no route takes, and for those whose route panics.

use std::any::Any;

use axum::Router;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::problem::Problem;

/// Answers unknown routes, wrong methods and panics with a problem. Apply after all routes are merged.
pub fn with_fallbacks(routes: Router) -> Router {
    routes
        .fallback(|uri: Uri| async move { Problem::not_found(uri.path()) })
        .method_not_allowed_fallback(|method: Method| async move { Problem::method_not_allowed(&method) })
        .layer(CatchPanicLayer::custom(panicked))
}

/// The panic hook has already logged the message.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("request panicked; answered 500");
    Problem::internal().into_response()
}

#[cfg(test)]
mod tests {
    use axum::extract::Request;
    use axum::http::StatusCode;
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panicking_route_answers_a_problem() {
        async fn breaks() -> Response {
            panic!("a bug")
        }
        let routes = with_fallbacks(Router::new().route("/breaks", get(breaks)));
        let request = Request::builder().uri("/breaks").body(axum::body::Body::empty()).unwrap();
        let response = routes.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        assert_eq!(response.headers()["content-type"], "application/problem+json");
    }
}
