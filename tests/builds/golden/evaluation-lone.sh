. '/codebuild/readonly/environment.sh'; cd '/codebuild/output/src123456789/src'
[ ! -p '/codebuild/output/tmp/x' ] || exit 1
{
printf '%s\0' "$A"
} >|'/codebuild/output/tmp/x'
