export { mysql_db } from "./mysql-db.ts";
export { mysql_info } from "./mysql-info.ts";
export { mysql_query } from "./mysql-query.ts";
export { mysql_user } from "./mysql-user.ts";
export { mysql_variables } from "./mysql-variables.ts";
