export { apache2_module } from "./apache2-module.ts";
export { apt } from "./apt.ts";
export { apt_key } from "./apt-key.ts";
export { apt_repository } from "./apt-repository.ts";
export { deb822_repository } from "./deb822-repository.ts";
export { debconf } from "./debconf.ts";
export { dpkg_divert } from "./dpkg-divert.ts";
export { dpkg_selections } from "./dpkg-selections.ts";
