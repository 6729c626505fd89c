#!/bin/sh
# Uploads the image as a Vertex AI model. Vertex AI tells the server its port and routes (AIP_HTTP_PORT, AIP_HEALTH_ROUTE, AIP_PREDICT_ROUTE).
set -eu
gcloud ai models upload \
  --region="${REGION:?set REGION}" \
  --display-name="__NAME__" \
  --container-image-uri="${IMAGE:-__IMAGE__:__VERSION__}" \
  --container-ports=8080 \
  --container-health-route=/v2/health/ready \
  --container-predict-route=/predict
