# Shared by the fidelity lanes. Sourced, not run.

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
# Cargo always gets `--workspace`: with `-p` it would resolve other features, and compile the SDKs once more.
source .ci/lib.sh

# No request of these lanes may reach AWS: the credentials are nobody's.
export AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 AWS_REGION=us-east-1 AWS_EC2_METADATA_DISABLED=true
unset AWS_PROFILE AWS_CONFIG_FILE AWS_SESSION_TOKEN AWS_ENDPOINT_URL

# What `sam build` left, for the lane that deploys it.
BUILD=$CACHE/sam-build
SAM=$(venv sam)
