//! Databases of benchmarks, as users have them: each commit waits for the disk. Tests do without that.

use sqlx::AssertSqlSafe;

use crate::support::database::TestDatabase;

/// `database`, on whose connections from now on commits wait for the disk.
pub async fn durable(database: TestDatabase) -> TestDatabase {
    let statement = format!("alter database {} reset synchronous_commit", database.name);
    sqlx::query(AssertSqlSafe(statement)).execute(&database.pool).await.unwrap();
    database
}
