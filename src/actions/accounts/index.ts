export { authorized_key } from "./authorized-key.ts";
export { group } from "./group.ts";
export { user } from "./user.ts";
