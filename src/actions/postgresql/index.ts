export { postgresql_db } from "./postgresql-db.ts";
export { postgresql_ext } from "./postgresql-ext.ts";
export { postgresql_ping } from "./postgresql-ping.ts";
export { postgresql_privs } from "./postgresql-privs.ts";
export { postgresql_query } from "./postgresql-query.ts";
export { postgresql_schema } from "./postgresql-schema.ts";
export { postgresql_set } from "./postgresql-set.ts";
export { postgresql_user } from "./postgresql-user.ts";
