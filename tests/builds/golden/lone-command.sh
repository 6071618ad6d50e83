. '/codebuild/readonly/environment.sh'
export CODEBUILD_BUILD_SUCCEEDING=1 CODEBUILD_LAST_EXIT=0
cd '/codebuild/output/src123456789/src'
make test
