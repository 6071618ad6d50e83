"""Pipelines, their executions and what does their actions; deployments, and the machines they go to."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "custom_action_types",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("category", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=35), nullable=False),
        sa.Column("version", sa.String(length=9), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint(
            "account", "region", "category", "provider", "version", name=op.f("pk_custom_action_types")
        ),
    )
    op.create_table(
        "deploy_applications",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("platform", sa.String(length=16), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_deploy_applications")),
    )
    op.create_table(
        "deploy_groups",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("settings", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deploy_groups")),
    )
    op.create_index(
        "ix_deploy_groups_named", "deploy_groups", ["account", "region", "application", "name"], unique=True
    )
    op.create_table(
        "deploy_health",
        sa.Column("group_id", sa.String(length=100), nullable=False),
        sa.Column("target", sa.String(length=36), nullable=False),
        sa.Column("healthy", sa.Boolean(), nullable=False),
        sa.Column("tree", sa.String(length=64), nullable=True),
        sa.PrimaryKeyConstraint("group_id", "target", name=op.f("pk_deploy_health")),
    )
    op.create_table(
        "deploy_lines",
        sa.Column("group_id", sa.String(length=100), nullable=False),
        sa.Column("in_flight", sa.String(length=11), nullable=True),
        sa.Column("last_attempted", sa.String(length=11), nullable=True),
        sa.Column("last_successful", sa.String(length=11), nullable=True),
        sa.PrimaryKeyConstraint("group_id", name=op.f("pk_deploy_lines")),
    )
    op.create_table(
        "deploy_targets",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.String(length=64), nullable=False),
        sa.Column("registered", sa.BigInteger(), nullable=False),
        sa.Column("heard", sa.BigInteger(), nullable=False),
        sa.Column("removed", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deploy_targets")),
    )
    op.create_index("ix_deploy_targets_named", "deploy_targets", ["account", "region", "name"], unique=True)
    op.create_table(
        "deployment_targets",
        sa.Column("deployment", sa.String(length=11), nullable=False),
        sa.Column("target", sa.String(length=36), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=True),
        sa.Column("event_began", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("deployment", "target", name=op.f("pk_deployment_targets")),
    )
    op.create_index("ix_deployment_targets_of_target", "deployment_targets", ["target", "status"], unique=False)
    op.create_table(
        "deployments",
        sa.Column("id", sa.String(length=11), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("application", sa.String(length=100), nullable=False),
        sa.Column("group_id", sa.String(length=100), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.String(length=100), nullable=True),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("request", sa.Text(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_deployments")),
    )
    op.create_index(
        "ix_deployments_in_flight",
        "deployments",
        ["id"],
        unique=False,
        sqlite_where=sa.text("status = 'InProgress'"),
        postgresql_where=sa.text("status = 'InProgress'"),
    )
    op.create_index("ix_deployments_keyed", "deployments", ["account", "region", "key"], unique=True)
    op.create_index("ix_deployments_listed", "deployments", ["account", "region", "created", "id"], unique=False)
    op.create_index("ix_deployments_of_group", "deployments", ["group_id", "created", "id"], unique=False)
    op.create_index(
        "ix_deployments_queued",
        "deployments",
        ["group_id", "status", "created", "id"],
        unique=False,
        sqlite_where=sa.text("status = 'Queued'"),
        postgresql_where=sa.text("status = 'Queued'"),
    )
    op.create_table(
        "pipeline_event_senders",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("name", sa.String(length=120), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_event_senders")),
    )
    op.create_table(
        "pipeline_events",
        sa.Column("number", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("line", sa.String(length=200), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_pipeline_events")),
    )
    op.create_index("ix_pipeline_events_at", "pipeline_events", ["at"], unique=False)
    op.create_table(
        "pipeline_executions",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=100), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("live", sa.Boolean(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("progress", sa.Text(), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_executions")),
    )
    op.create_index(
        "ix_pipeline_executions_live",
        "pipeline_executions",
        ["account", "region", "pipeline"],
        unique=False,
        sqlite_where=sa.text("live IS 1"),
        postgresql_where=sa.text("live IS true"),
    )
    op.create_index(
        "ix_pipeline_executions_numbered",
        "pipeline_executions",
        ["account", "region", "pipeline", "number"],
        unique=False,
    )
    op.create_table(
        "pipeline_jobs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("doer", sa.String(length=16), nullable=False),
        sa.Column("type", sa.String(length=80), nullable=False),
        sa.Column("queue", sa.String(length=110), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=True),
        sa.Column("nonce", sa.String(length=50), nullable=True),
        sa.Column("offered", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("continuation", sa.Text(), nullable=True),
        sa.Column("result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_jobs")),
        sa.UniqueConstraint("run", "number", name=op.f("uq_pipeline_jobs_run_number")),
    )
    op.create_index("ix_pipeline_jobs_deadline", "pipeline_jobs", ["deadline"], unique=False)
    op.create_index(
        "ix_pipeline_jobs_due", "pipeline_jobs", ["account", "region", "type", "queue", "due"], unique=False
    )
    op.create_table(
        "pipeline_objects",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("bucket", sa.String(length=63), nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("artifact", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "bucket", "key", name=op.f("pk_pipeline_objects")),
    )
    op.create_table(
        "pipeline_polls",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=100), nullable=False),
        sa.Column("seen", sa.Text(), nullable=False),
        sa.Column("pending", sa.Text(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("turn", sa.BigInteger(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "pipeline", name=op.f("pk_pipeline_polls")),
    )
    op.create_table(
        "pipeline_runners",
        sa.Column("id", sa.String(length=120), nullable=False),
        sa.Column("lease", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_runners")),
    )
    op.create_table(
        "pipeline_runs",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=100), nullable=False),
        sa.Column("execution", sa.String(length=36), nullable=False),
        sa.Column("stage", sa.String(length=100), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("moment", sa.String(length=16), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("runner", sa.String(length=120), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("started", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("deadline", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("answers", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pipeline_runs")),
    )
    op.create_index(
        "ix_pipeline_runs_action",
        "pipeline_runs",
        ["account", "region", "pipeline", "stage", "name", "started", "id"],
        unique=False,
        sqlite_where=sa.text("moment IS NULL"),
        postgresql_where=sa.text("moment IS NULL"),
    )
    op.create_index(
        "ix_pipeline_runs_busy",
        "pipeline_runs",
        ["runner"],
        unique=False,
        sqlite_where=sa.text("status = 'InProgress'"),
        postgresql_where=sa.text("status = 'InProgress'"),
    )
    op.create_index("ix_pipeline_runs_execution", "pipeline_runs", ["execution", "started", "id"], unique=False)
    op.create_index(
        "ix_pipeline_runs_listed", "pipeline_runs", ["account", "region", "pipeline", "started", "id"], unique=False
    )
    op.create_table(
        "pipeline_steps",
        sa.Column("run", sa.String(length=36), nullable=False),
        sa.Column("name", sa.String(length=200), nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "name", name=op.f("pk_pipeline_steps")),
    )
    op.create_table(
        "pipeline_successes",
        sa.Column("execution", sa.String(length=36), nullable=False),
        sa.Column("stage", sa.String(length=100), nullable=False),
        sa.PrimaryKeyConstraint("execution", "stage", name=op.f("pk_pipeline_successes")),
    )
    op.create_table(
        "pipeline_tokens",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("pipeline", sa.String(length=100), nullable=False),
        sa.Column("token", sa.String(length=128), nullable=False),
        sa.Column("execution", sa.String(length=36), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "pipeline", "token", name=op.f("pk_pipeline_tokens")),
    )
    op.create_table(
        "pipeline_versions",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("shape", sa.Text(), nullable=False),
        sa.Column("secrets", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "name", "version", name=op.f("pk_pipeline_versions")),
    )
    op.create_table(
        "pipeline_webhooks",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=32), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("pipeline", sa.String(length=100), nullable=False),
        sa.Column("action", sa.String(length=100), nullable=False),
        sa.Column("authentication", sa.String(length=32), nullable=False),
        sa.Column("addresses", sa.String(length=100), nullable=True),
        sa.Column("filters", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("key_id", sa.String(length=32), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("last_triggered", sa.BigInteger(), nullable=True),
        sa.Column("error_code", sa.String(length=64), nullable=True),
        sa.Column("error_message", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_pipeline_webhooks")),
        sa.UniqueConstraint("digest", name=op.f("uq_pipeline_webhooks_digest")),
    )
    op.create_table(
        "pipelines",
        sa.Column("account", sa.String(length=12), nullable=False),
        sa.Column("region", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=100), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created", sa.BigInteger(), nullable=False),
        sa.Column("updated", sa.BigInteger(), nullable=False),
        sa.Column("line", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("account", "region", "name", name=op.f("pk_pipelines")),
    )
    op.create_index("ix_pipelines_region", "pipelines", ["account", "region"], unique=False)
