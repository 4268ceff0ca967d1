//! Changes of the database itself during a history, and its pre-existing rows.

use sqlx::PgPool;

use super::history::History;
use super::state::{Act, Tier};

/// The SQLSTATE of whom Postgres chose to end a deadlock.
const DEADLOCK: &str = "40P01";

/// What happens to the database itself at the beginning of `phase`. One transaction deletes several users, with their
/// rows in whatever order, among consumers that write these rows: of a deadlock it is the one to try again.
pub async fn act(pool: &PgPool, histories: &[&History], phase: usize) {
    loop {
        match try_to_act(pool, histories, phase).await {
            Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(DEADLOCK) => {}
            done => return done.unwrap(),
        }
    }
}

async fn try_to_act(pool: &PgPool, histories: &[&History], phase: usize) -> Result<(), sqlx::Error> {
    let mut tx = memberflow::database::begin(pool).await?;
    let acts = histories.iter().flat_map(|history| &history.acts).filter(|(at, _)| *at == phase);
    for (_, act) in acts {
        let query = match act {
            Act::SignUp { id, email, confirmed } => sqlx::query(
                "insert into auth.users (instance_id, id, email, email_confirmed_at)
                 values (case when $4 then '00000000-0000-0000-0000-000000000000'::uuid end, $1, $2,
                         case when $3 then now() end)",
            )
            .bind(id)
            .bind(email)
            .bind(confirmed)
            // Users that were made in SQL may have no instance.
            .bind(id.as_u128() % 3 != 0),
            Act::Change { id, email, confirmed } => sqlx::query(
                "update auth.users set email = $2, email_confirmed_at = case when $3 then now() end where id = $1",
            )
            .bind(id)
            .bind(email)
            .bind(confirmed),
            Act::Delete { id } => sqlx::query("delete from auth.users where id = $1").bind(id),
            Act::NameTier(Tier { id, name, price, product }) => sqlx::query(
                "insert into public.membership_tiers (id, name, stripe_price_id, stripe_product_id)
                 values ($1, $2, $3, $4)",
            )
            .bind(id)
            .bind(name)
            .bind(price)
            .bind(product),
            Act::Run(statement) => sqlx::query(sqlx::AssertSqlSafe(statement.clone())),
        };
        query.execute(&mut *tx).await?;
    }
    tx.commit().await
}

/// Inserts the pre-existing rows.
pub async fn insert_preexisting(pool: &PgPool, histories: &[&History]) {
    for row in histories.iter().flat_map(|history| &history.preexisting) {
        sqlx::query(
            "insert into public.customer_subscriptions
                 (id, user_id, membership_tier_id, stripe_customer_id, stripe_subscription_id, stripe_price_id,
                  status, created_at, canceled_at)
             select $1, $2, t.id, $3, $4, $5, $6::public.subscription_status, to_timestamp($7),
                    case when $6 = 'canceled' then to_timestamp($7 + 86400) end
             from public.membership_tiers t where t.stripe_price_id = $5",
        )
        .bind(row.id)
        .bind(row.user)
        .bind(&row.customer)
        .bind(&row.subscription)
        .bind(&row.price)
        .bind(row.status)
        .bind(row.created)
        .execute(pool)
        .await
        .unwrap();
    }
    for (user, status) in histories.iter().flat_map(|history| &history.by_hand) {
        let insert = "insert into public.user_activity_metrics (user_id, engagement_status, engagement_status_is_manual)
                      values ($1, $2, true)";
        sqlx::query(insert).bind(user).bind(status).execute(pool).await.unwrap();
    }
}
