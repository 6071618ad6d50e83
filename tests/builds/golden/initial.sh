export PATH="$PATH":'/codebuild/user/bin'
export A='$PATH:/x'
export QUOTED='it'\''s "quoted"
and `two` \lines'
export CODEBUILD_SRC_DIR='/codebuild/output/src123456789/src'
export PWD='/codebuild/output/src123456789/src'
export OLDPWD='/codebuild/readonly'
