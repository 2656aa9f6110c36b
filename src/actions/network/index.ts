export { firewalld } from "./firewalld.ts";
export { get_url } from "./get-url.ts";
export { iptables } from "./iptables.ts";
export { ufw } from "./ufw.ts";
export { uri } from "./uri.ts";
