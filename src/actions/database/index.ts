export { mysql_db } from "./mysql-db.ts";
export { mysql_user } from "./mysql-user.ts";
