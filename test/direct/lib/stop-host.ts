import { stopSandboxHost } from "./sandbox-system.ts";

stopSandboxHost();
