/** A setting from the environment. One that is empty counts as not set, as CI systems leave it so. */
export function setting(env: NodeJS.ProcessEnv, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === "" ? undefined : value;
}
