if [ -f '/codebuild/output/tmp/env.sh' ] && [ -r '/codebuild/output/tmp/env.sh' ]; then . '/codebuild/output/tmp/env.sh'; else . '/codebuild/readonly/state.sh'; fi; codebuild_was=$OLDPWD; cd "$PWD" 2>/dev/null || cd '/codebuild/output/src123456789/src'; OLDPWD=$codebuild_was; unset codebuild_was codebuild_exit
export CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_LAST_EXIT=0
set -a; trap '{ set +x; } 2>&-; (umask 0; export PWD OLDPWD; export -p >|'\''/codebuild/output/tmp/env.sh'\'')' EXIT
make test

{ codebuild_exit=$?; set +x; } 2>&-; trap - EXIT; (umask 0; export PWD OLDPWD; export -p >|'/codebuild/output/tmp/env.sh'); exit $codebuild_exit
