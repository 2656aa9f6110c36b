import {
  mysql_db,
  mysql_query,
  mysql_user,
  mysql_variables,
  postgresql_db,
  postgresql_ext,
  postgresql_privs,
  postgresql_query,
  postgresql_schema,
  postgresql_set,
  postgresql_user,
} from "volley";
import type { ActionCase } from "./case.ts";

const install = (packages: string): string =>
  `DEBIAN_FRONTEND=noninteractive apt-get -y install --no-install-recommends ${packages} >/dev/null`;

// Hosts share the machine's network: the servers listen on their sockets alone.
const MARIADB = `mkdir -p /etc/mysql/mariadb.conf.d && printf '[mysqld]\\nskip-networking\\n' >/etc/mysql/mariadb.conf.d/99-alone.cnf && ${install("mariadb-server")}`;
const POSTGRES = `mkdir -p /etc/postgresql-common/createcluster.d && printf "listen_addresses = ''\\n" >/etc/postgresql-common/createcluster.d/alone.conf && ${install("postgresql")} && sed -i 's/^local  *all  *postgres  *peer/local all all trust/' /etc/postgresql/*/main/pg_hba.conf && systemctl reload postgresql`;

const asAnn = (password: string, sql: string): string =>
  `MYSQL_PWD='${password}' mysql -u ann -e '${sql}' >/dev/null`;
const postgres = (sql: string): string => `psql -U postgres -Atc "${sql}"`;

const mysql: readonly ActionCase[] = [
  {
    name: "mysql_db makes a database",
    prepare: `${MARIADB}; mysql -e 'DROP DATABASE IF EXISTS shop'`,
    call: mysql_db({ name: "shop", encoding: "utf8mb4", collation: "utf8mb4_bin" }),
    verify: "mysql -NBe 'SHOW CREATE DATABASE shop' | grep -q utf8mb4_bin",
  },
  {
    name: "mysql_user makes a user, who may log in",
    prepare: `mysql -e "DROP USER IF EXISTS ann@localhost; CREATE TABLE IF NOT EXISTS shop.t1 (a INT, b INT)"`,
    call: mysql_user({
      name: "ann",
      password: "s'e\\c\"ret#",
      priv: "shop.*:SELECT,INSERT/shop.t1:UPDATE(b,a)/*.*:REPLICATION CLIENT",
    }),
    verify: `printf '[client]\\npassword="s'"'"'e\\\\\\\\c\\\\"ret#"\\n' >/tmp/ann.cnf && mysql --defaults-file=/tmp/ann.cnf -u ann -e 'SELECT * FROM shop.t1'`,
  },
  {
    name: "mysql_user changes password and privileges",
    call: mysql_user({ name: "ann", password: "other", priv: "shop.*:ALL,GRANT" }),
    verify: asAnn("other", "CREATE TABLE IF NOT EXISTS shop.t2 (a INT)"),
  },
  {
    name: "mysql_user locks an account, and limits it",
    call: mysql_user({
      name: "ann",
      locked: true,
      resource_limits: { MAX_USER_CONNECTIONS: 3 },
      tls_requires: { SSL: null },
    }),
    verify:
      "mysql -NBe 'SHOW CREATE USER ann@localhost' | grep 'REQUIRE SSL WITH MAX_USER_CONNECTIONS 3.*ACCOUNT LOCK'",
  },
  {
    name: "mysql_db dumps",
    prepare: "rm -f /tmp/shop.sql.gz",
    call: mysql_db({ name: "shop", state: "dump", target: "/tmp/shop.sql.gz" }),
    verify: "zgrep -q 'CREATE TABLE `t1`' /tmp/shop.sql.gz",
    again: "changed",
  },
  {
    name: "mysql_db imports into a new database",
    prepare: "mysql -e 'DROP DATABASE IF EXISTS copy'",
    call: mysql_db({ name: "copy", state: "import", target: "/tmp/shop.sql.gz" }),
    verify: "mysql -e 'DESCRIBE copy.t1'",
    again: "changed",
  },
  {
    name: "mysql_query inserts rows",
    call: mysql_query({
      login_db: "shop",
      query: "INSERT INTO t1 VALUES (%s, %s), (3, NULL)",
      positional_args: [1, 2],
    }),
    verify: "test $(mysql -NBe 'SELECT count(*) FROM shop.t1') -ge 2",
    check: "unknown",
    again: "changed",
  },
  {
    name: "mysql_variables sets a variable",
    call: mysql_variables({ variable: "max_connections", value: "200" }),
    verify: "test $(mysql -NBe 'SELECT @@max_connections') = 200",
  },
  {
    name: "mysql_user removes a user of all hosts",
    prepare: "mysql -e \"CREATE USER IF NOT EXISTS ann@'%'\"",
    call: mysql_user({ name: "ann", host_all: true, state: "absent" }),
    verify: "test $(mysql -NBe \"SELECT count(*) FROM mysql.user WHERE user = 'ann'\") = 0",
  },
];

const postgresql: readonly ActionCase[] = [
  {
    name: "postgresql_user makes a role",
    prepare: `${POSTGRES}; ${postgres("DROP DATABASE IF EXISTS shop")}; ${postgres("DROP ROLE IF EXISTS ann")}`,
    call: postgresql_user({ name: "ann", password: "s'e\\cret", role_attr_flags: "CREATEDB" }),
    verify: `test "$(${postgres("SELECT rolcreatedb, rolcanlogin FROM pg_roles WHERE rolname = 'ann'")})" = 't|t'`,
  },
  {
    name: "postgresql_user changes a role",
    call: postgresql_user({
      name: "ann",
      password: "other",
      role_attr_flags: "NOCREATEDB",
      expires: "2030-01-31",
      configuration: { work_mem: "8MB" },
    }),
    verify: `test "$(${postgres("SELECT rolcreatedb, rolconfig FROM pg_roles WHERE rolname = 'ann'")})" = 'f|{work_mem=8MB}'`,
  },
  {
    name: "postgresql_db makes a database",
    call: postgresql_db({
      name: "shop",
      owner: "ann",
      encoding: "UTF-8",
      template: "template0",
      lc_collate: "C",
      lc_ctype: "C",
    }),
    verify: `test "$(${postgres("SELECT pg_get_userbyid(datdba), datcollate FROM pg_database WHERE datname = 'shop'")})" = 'ann|C'`,
  },
  {
    name: "postgresql_db changes a database",
    call: postgresql_db({ name: "shop", owner: "postgres", conn_limit: 5, comment: "it's" }),
    verify: `test "$(${postgres("SELECT pg_get_userbyid(datdba), datconnlimit FROM pg_database WHERE datname = 'shop'")})" = 'postgres|5'`,
  },
  {
    name: "postgresql_db dumps",
    prepare: `rm -f /tmp/shop.pgc; psql -U postgres -d shop -c 'CREATE TABLE t1 (a int)'`,
    call: postgresql_db({ name: "shop", state: "dump", target: "/tmp/shop.pgc" }),
    verify: "pg_restore -l /tmp/shop.pgc | grep -q 'TABLE public t1'",
    again: "changed",
  },
  {
    name: "postgresql_schema makes a schema",
    call: postgresql_schema({ name: "sales", database: "shop", owner: "ann" }),
    verify: "psql -U postgres -d shop -Atc '\\dn' | grep -qx 'sales|ann'",
  },
  {
    name: "postgresql_ext removes an extension",
    call: postgresql_ext({ name: "plpgsql", db: "shop", state: "absent" }),
    verify: "test -z \"$(psql -U postgres -d shop -Atc 'SELECT 1 FROM pg_extension')\"",
  },
  {
    name: "postgresql_privs grants",
    call: postgresql_privs({ database: "shop", roles: "ann", privs: ["SELECT", "INSERT"], objs: "t1" }),
    verify: `test "$(psql -U postgres -d shop -Atc "SELECT has_table_privilege('ann', 't1', 'INSERT')")" = t`,
  },
  {
    name: "postgresql_query inserts rows",
    call: postgresql_query({
      db: "shop",
      query: ["INSERT INTO t1 VALUES (%s)", "SELECT 1"],
      positional_args: [5],
    }),
    verify: "psql -U postgres -d shop -Atc 'SELECT a FROM t1' | grep -qx 5",
    check: "unknown",
    again: "changed",
  },
  {
    name: "postgresql_set sets a setting",
    call: postgresql_set({ name: "work_mem", value: "16384kB" }),
    verify: `test "$(${postgres("SHOW work_mem")})" = 16MB`,
  },
  {
    name: "postgresql_db removes a database",
    call: postgresql_db({ name: "shop", state: "absent", force: true }),
    verify: `test -z "$(${postgres("SELECT 1 FROM pg_database WHERE datname = 'shop'")})"`,
  },
  {
    name: "postgresql_user removes a role",
    call: postgresql_user({ name: "ann", state: "absent" }),
    verify: `test -z "$(${postgres("SELECT 1 FROM pg_roles WHERE rolname = 'ann'")})"`,
  },
];

/** Cases of the servers' actions, on real servers. */
export const cases: readonly ActionCase[] = [...mysql, ...postgresql];
