if [ -f '/codebuild/output/tmp/env.sh' ] && [ -r '/codebuild/output/tmp/env.sh' ]; then . '/codebuild/output/tmp/env.sh'; else . '/codebuild/readonly/state.sh'; fi; cd "$PWD" 2>/dev/null || cd '/codebuild/output/src123456789/src'
[ ! -p '/codebuild/output/tmp/x' ] || exit 1
{
printf '%s\0' "$A-$(date)"
printf '%s\0' "say \"hi\""
} >|'/codebuild/output/tmp/x'
