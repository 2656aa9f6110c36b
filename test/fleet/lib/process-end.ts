const endSignals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Call a function when this process exits or is told to end by a signal, which then takes effect as if it
 * had not been caught. Returns how to call it off. The function must be synchronous: nothing later runs.
 */
export function onProcessEnd(cleanUp: () => void): () => void {
  const forget = (): void => {
    process.off("exit", cleanUp);
    for (const name of endSignals) process.off(name, onSignal);
  };
  const onSignal = (name: NodeJS.Signals): void => {
    forget();
    cleanUp();
    // Another fleet's handler, or the test runner's, may still be there: the last one ends the process.
    if (process.listenerCount(name) === 0) process.kill(process.pid, name);
  };
  process.on("exit", cleanUp);
  for (const name of endSignals) process.on(name, onSignal);
  return forget;
}
