# A project with all that its builds need, and a pipeline that takes what it made through an approval to machines, on
# Codeyard; without the endpoints it is for AWS, unchanged.
#   eval "$(codeyard env)" && TF_VAR_url=$AWS_ENDPOINT_URL terraform apply
terraform {
  required_providers {
    aws = { source = "hashicorp/aws", version = "~> 5.100" }
  }
}
variable "url" {
  description = "Where Codeyard is: AWS_ENDPOINT_URL of `codeyard env`."
}

provider "aws" {
  region                     = "us-east-1"
  skip_metadata_api_check    = true
  skip_requesting_account_id = false
  s3_use_path_style          = true
  endpoints {
    codebuild      = var.url
    codedeploy     = var.url
    codepipeline   = var.url
    iam            = var.url
    sts            = var.url
    s3             = var.url
    logs           = var.url
    secretsmanager = var.url
    ssm            = var.url
  }
}
resource "aws_iam_role" "builds" {
  name               = "tf-builds"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = { Service = "codebuild.amazonaws.com" }, Action = "sts:AssumeRole" }] })
  tags               = { team = "a" }
}
resource "aws_iam_role_policy" "builds" {
  role   = aws_iam_role.builds.name
  name   = "builds"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["logs:*", "s3:*", "ssm:GetParameters", "secretsmanager:GetSecretValue"], Resource = "*" }] })
}
resource "aws_s3_bucket" "made" { bucket = "tf-made" }
resource "aws_cloudwatch_log_group" "builds" {
  name              = "/tf/builds"
  retention_in_days = 14
}
resource "aws_secretsmanager_secret" "token" {
  name                    = "tf/token"
  recovery_window_in_days = 0
}
resource "aws_secretsmanager_secret_version" "token" {
  secret_id     = aws_secretsmanager_secret.token.id
  secret_string = "s3cret"
}
resource "aws_ssm_parameter" "level" {
  name  = "/tf/level"
  type  = "SecureString"
  value = "debug"
}
resource "aws_codebuild_project" "app" {
  name                   = "tf-app"
  description            = "by terraform"
  service_role           = aws_iam_role.builds.arn
  build_timeout          = 30
  concurrent_build_limit = 2
  artifacts {
    type      = "S3"
    location  = aws_s3_bucket.made.bucket
    name      = "app.zip"
    packaging = "ZIP"
  }
  cache {
    type  = "LOCAL"
    modes = ["LOCAL_CUSTOM_CACHE"]
  }
  environment {
    compute_type = "BUILD_GENERAL1_SMALL"
    image        = "aws/codebuild/standard:7.0"
    type         = "LINUX_CONTAINER"
    environment_variable {
      name  = "LEVEL"
      type  = "PARAMETER_STORE"
      value = aws_ssm_parameter.level.name
    }
  }
  logs_config {
    cloudwatch_logs { group_name = aws_cloudwatch_log_group.builds.name }
  }
  source {
    type      = "NO_SOURCE"
    buildspec = "version: 0.2\nphases:\n  build:\n    commands:\n      - echo made by terraform > x\nartifacts:\n  files: [x]\n"
  }
  tags = { team = "a" }
}
resource "aws_iam_role" "pipeline" {
  name               = "tf-pipeline"
  assume_role_policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Principal = { Service = ["codepipeline.amazonaws.com", "codedeploy.amazonaws.com"] }, Action = "sts:AssumeRole" }] })
}
resource "aws_iam_role_policy" "pipeline" {
  role   = aws_iam_role.pipeline.name
  name   = "pipeline"
  policy = jsonencode({ Version = "2012-10-17", Statement = [{ Effect = "Allow", Action = ["s3:*", "codedeploy:*"], Resource = "*" }] })
}
resource "aws_iam_role_policy_attachment" "deploys" {
  role       = aws_iam_role.pipeline.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole"
}
resource "aws_codedeploy_app" "app" { name = "tf-app" }
resource "aws_codedeploy_deployment_group" "web" {
  app_name               = aws_codedeploy_app.app.name
  deployment_group_name  = "web"
  service_role_arn       = aws_iam_role.pipeline.arn
  deployment_config_name = "CodeDeployDefault.HalfAtATime"
  ec2_tag_filter {
    key   = "role"
    type  = "KEY_AND_VALUE"
    value = "web"
  }
  auto_rollback_configuration {
    enabled = true
    events  = ["DEPLOYMENT_FAILURE"]
  }
}
resource "aws_codepipeline" "app" {
  name           = "tf-app"
  role_arn       = aws_iam_role.pipeline.arn
  pipeline_type  = "V2"
  execution_mode = "QUEUED"
  artifact_store {
    type     = "S3"
    location = aws_s3_bucket.made.bucket
  }
  variable {
    name          = "PLACE"
    default_value = "prod"
  }
  stage {
    name = "Source"
    action {
      name             = "Made"
      category         = "Source"
      owner            = "AWS"
      provider         = "S3"
      version          = "1"
      output_artifacts = ["App"]
      configuration    = { S3Bucket = aws_s3_bucket.made.bucket, S3ObjectKey = "app.zip", PollForSourceChanges = "false" }
    }
  }
  stage {
    name = "Deploy"
    before_entry {
      condition {
        result = "SKIP"
        rule {
          name          = "OnlyProd"
          configuration = { Variable = "#{variables.PLACE}", Operator = "EQ", Value = "prod" }
          rule_type_id {
            category = "Rule"
            owner    = "AWS"
            provider = "VariableCheck"
            version  = "1"
          }
        }
      }
    }
    on_failure { result = "ROLLBACK" }
    action {
      name               = "Ask"
      category           = "Approval"
      owner              = "AWS"
      provider           = "Manual"
      version            = "1"
      timeout_in_minutes = 60
    }
    action {
      name            = "Web"
      category        = "Deploy"
      owner           = "AWS"
      provider        = "CodeDeploy"
      version         = "1"
      run_order       = 2
      input_artifacts = ["App"]
      configuration   = { ApplicationName = aws_codedeploy_app.app.name, DeploymentGroupName = aws_codedeploy_deployment_group.web.deployment_group_name }
    }
  }
  tags = { team = "a" }
}
