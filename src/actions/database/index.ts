export { mysql_db } from "./mysql-db.ts";
export { mysql_user } from "./mysql-user.ts";
export { postgresql_db } from "./postgresql-db.ts";
export { postgresql_user } from "./postgresql-user.ts";
