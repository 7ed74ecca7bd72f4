/**
 * Calls a method of a driver's object by its name, with a user's own arguments.
 */
export async function callMember(
  of: object,
  method: string,
  args: readonly unknown[],
): Promise<unknown> {
  const member = Reflect.get(of, method) as (...args: readonly unknown[]) => unknown
  return member.apply(of, [...args])
}
