export { htpasswd } from "./htpasswd.ts";
export { known_hosts } from "./known-hosts.ts";
export { openssh_keypair } from "./openssh-keypair.ts";
export { openssl_dhparam } from "./openssl-dhparam.ts";
export { pam_limits } from "./pam-limits.ts";
export { pamd } from "./pamd.ts";
export { ssh_config } from "./ssh-config.ts";
export { sudoers } from "./sudoers.ts";
