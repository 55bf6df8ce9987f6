export { testMember, testMembers } from "./ring-members.ts";
