/**
 * Calls a method of a driver's object by its name, with a user's own arguments.
 */
export function callMember(of: object, method: string, args: readonly unknown[]): Promise<unknown> {
  const member = Reflect.get(of, method) as (...args: readonly unknown[]) => unknown
  // Whatever it throws by itself is a rejection like any other.
  return new Promise((resolve) => {
    resolve(member.apply(of, [...args]))
  })
}
