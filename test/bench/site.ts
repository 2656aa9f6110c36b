import { definePlaybook } from "volley";
import bench88 from "./roles/bench88/role.ts";

export default definePlaybook([{ name: "88 actions", hosts: "all", roles: [bench88()] }]);
