import { definePlaybook } from "volley";
import web from "./roles/web/role.ts";

export default definePlaybook([
  { name: "Web tier", hosts: "web", become: true, roles: [web({ workers: 4 })] },
]);
