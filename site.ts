import { ansibleRole, definePlaybook } from "volley";
import base from "./roles/base/role.ts";
import web from "./roles/web/role.ts";

export default definePlaybook([
  {
    name: "Every host",
    hosts: "all",
    roles: [
      base(),
      // A role in Ansible's YAML: roles/logrotate.
      ansibleRole("logrotate", {
        tags: "logs",
        vars: { logrotate_rules: [{ name: "clean-up", paths: ["/var/log/clean-up.log"], every: "monthly" }] },
      }),
    ],
  },
  { name: "Web tier", hosts: "web", become: true, roles: [web({ workers: 4 })] },
]);
