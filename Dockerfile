# Build stage: everything that `npm run build` needs, and nothing of it stays.
FROM node:22-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY . .
RUN npm run build && npm prune --omit=dev --ignore-scripts

# What runs: compiled code, its dependencies, migrations. One image for the API, the workers and the migration job.
FROM node:22-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
# The lock file is what `domovoy audit` asks the package registry about.
COPY --from=build --chown=root:root /app/package.json /app/package-lock.json ./
COPY --from=build --chown=root:root /app/node_modules ./node_modules
COPY --from=build --chown=root:root /app/dist ./dist
COPY --from=build --chown=root:root /app/prisma/migrations ./prisma/migrations
COPY --from=build --chown=root:root /app/prisma/key-store-migrations ./prisma/key-store-migrations
RUN install -d -o node -g node /var/lib/domovoy/journal-heads /var/lib/domovoy/journal-spools /var/lib/domovoy/erasures \
  /var/lib/domovoy/log-segments
USER node
CMD ["node", "dist/api/main.js"]
