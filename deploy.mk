# AWS. Names and sizes come from .env (see sample.env); every target takes STAGE.
STAGE ?= dev
OWNER ?= me
DEPLOY = $(BIN)/python -m deploy --stage $(STAGE)

.PHONY: deploy update-code update-config token logs reindex destroy image ecr-repo ecr-login ecr-push stack api \
  update-lambda-code update-lambda-config install-emulator local-container

deploy: page image ecr-repo ecr-login stack api ## Deploy to AWS, or bring what is there up to date (STAGE)

update-code: page image ecr-login stack api ## Deploy changed code: image and API

update-config: $(DEV) ## Deploy changed settings: stack and API, with the image that is there
	@$(DEPLOY) stack --keep-image
	@$(DEPLOY) api

token: $(DEV) ## Make a token (OWNER); for more, see: transcriber tokens --help
	@$(BIN)/transcriber tokens create --stage $(STAGE) --owner "$(OWNER)"

logs: $(DEV) ## Show the last hour's logs of all functions
	@$(DEPLOY) logs

reindex: $(DEV) ## Make what transcripts are searched by anew
	@$(DEPLOY) reindex

destroy: $(DEV) ## Take all of it away; the data only with DATA_TOO=yes
	@$(DEPLOY) destroy $(if $(filter yes,$(DATA_TOO)),--data)

image: $(DEV) ## Build the image with docker or podman (MODELS)
	@$(DEPLOY) image

ecr-repo: $(DEV)
	@$(DEPLOY) ecr-repo

ecr-login: $(DEV)
	@$(DEPLOY) ecr-login

ecr-push: $(DEV)
	@$(DEPLOY) ecr-push

stack: $(DEV)
	@$(DEPLOY) stack

api: $(DEV)
	@$(DEPLOY) api

update-lambda-code: update-code

update-lambda-config: update-config

install-emulator: $(DEV)
	@$(DEPLOY) install-emulator

local-container: $(DEV) ## Serve the image in Lambda's emulator on port 9000
	@$(DEPLOY) run-image
