/** Return a host's full name from its name and the lines of /etc/hosts: the first dotted name of the address that they give the host, as getfqdn finds it; else the host's own. */
export function fullName(nodename: string, hosts: readonly string[]): string {
  if (nodename.includes(".")) return nodename;
  const entries = hosts
    .map((line) => line.replace(/#.*/, "").trim().split(/\s+/))
    .filter((fields) => fields.length > 1);
  const address = entries.find(([, ...names]) => names.includes(nodename))?.[0];
  const names = entries.filter(([first]) => first === address).flatMap(([, ...all]) => all);
  return names.find((name) => name.includes(".")) ?? names[0] ?? nodename;
}
