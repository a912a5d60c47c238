/** What a call was given up with. */
export class CalledOff extends Error {
  constructor() {
    super("called off");
  }
}
