import { definePlaybook } from "volley";
import base from "./roles/base/role.ts";
import web from "./roles/web/role.ts";

export default definePlaybook([
  { name: "Every host", hosts: "all", roles: [base()] },
  { name: "Web tier", hosts: "all", roles: [web({ workers: 4 })] },
]);
