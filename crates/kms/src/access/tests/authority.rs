//! Who may give, take and change what.

use crate::access::AccessContents;
use crate::access::AccessController;
use crate::access::AccessFault;
use crate::access::AccessSettings;
use crate::access::Assignment;
use crate::access::ChangeRefused;
use crate::access::Changing;
use crate::access::Credentials;
use crate::access::Denied;
use crate::access::InvalidRole;
use crate::access::MfaMode;
use crate::access::PassphraseCredential;
use crate::access::Permission;
use crate::access::PermissionSet;
use crate::access::Presented;
use crate::access::PrincipalId;
use crate::access::Role;
use crate::access::Sensitive;
use crate::access::SensitiveDenied;
use crate::access::SessionPolicy;
use crate::access::Target;
use crate::access::tests::home::HERE;
use crate::access::tests::home::Home;
use crate::access::tests::home::at;
use crate::access::tests::home::new_principal;
use crate::access::tests::home::role;
use crate::access::tests::home::role_on;
use crate::access::tests::home::secret;
use crate::key::KeyId;
use crate::key::Label;
use crate::key::Purpose;

/// A home where `lead` manages access, but is no admin.
fn home_with_lead(more: Vec<Assignment>) -> Home {
    let home = Home::new(MfaMode::Development);
    let permissions = PermissionSet::of(&[Permission::AccessManage]);
    put_role(&home, "root", "manager", permissions).unwrap();
    home.add("lead", [role("manager"), more].concat());
    home
}

fn put_role(
    home: &Home,
    by: &str,
    name: &str,
    permissions: PermissionSet,
) -> Result<(), ChangeRefused> {
    let by = home.confirmed(by, &Target::None);
    home.change(|changing| changing.put_role(&by, Role::own(name.parse().unwrap(), permissions)))
}

fn set_roles(
    home: &Home,
    by: &str,
    id: PrincipalId,
    assignments: Vec<Assignment>,
) -> Result<(), ChangeRefused> {
    let by = home.confirmed(by, &Target::Principal(id));
    home.change(|changing: &Changing<'_>| changing.set_roles(&by, id, assignments))
}

fn id_of(home: &Home, name: &str) -> PrincipalId {
    home.access.principal(name).unwrap().id
}

// Attack 7.
#[test]
fn operator_may_not_even_ask_to_change_access() {
    let home = Home::new(MfaMode::Development);
    let alice = home.add("alice", role("operator"));
    let caller = home.caller("alice");
    for target in [Target::None, Target::Principal(alice)] {
        let asked = (Sensitive::ManageAccess, &target);
        let denied = home.access.authorize_sensitive(&caller, asked, at(0)).unwrap_err();
        let SensitiveDenied::Denied(Denied::Missing { permission, roles }) = denied else {
            panic!("{denied:?}");
        };
        assert_eq!(permission, Permission::AccessManage);
        assert_eq!(roles, ["admin".parse().unwrap()]);
    }
}

// Attack 7.
#[test]
fn nobody_gives_a_role_they_do_not_hold() {
    let home = home_with_lead(role("auditor"));
    for given in ["admin", "operator", "signer", "responder"] {
        let refused = home.try_add("lead", "x", role(given)).unwrap_err();
        assert_eq!(refused, ChangeRefused::NotHeld(given.parse().unwrap()));
    }
    assert!(home.try_add("lead", "y", role("auditor")).is_ok());
    let y = id_of(&home, "y");
    let refused = set_roles(&home, "lead", y, role("operator")).unwrap_err();
    assert_eq!(refused, ChangeRefused::NotHeld("operator".parse().unwrap()));
    let refused = home.try_add("root", "z", role("nonsense")).unwrap_err();
    assert_eq!(refused, ChangeRefused::UnknownRole("nonsense".parse().unwrap()));
}

// Attack 7: by scope.
#[test]
fn scoped_holder_gives_no_wider_scope() {
    let home = home_with_lead(role_on("signer", "val-*"));
    for wider in [role("signer"), role_on("signer", "*"), role_on("signer", "v*")] {
        let refused = home.try_add("lead", "x", wider).unwrap_err();
        assert_eq!(refused, ChangeRefused::NotHeld("signer".parse().unwrap()));
    }
    assert!(home.try_add("lead", "x", role_on("signer", "val-eu-*")).is_ok());
}

// Attack 7.
#[test]
fn nobody_changes_their_own_roles_or_state() {
    let home = home_with_lead(role("auditor"));
    let lead = id_of(&home, "lead");
    for given in [role("auditor"), role("admin"), vec![]] {
        assert!(set_roles(&home, "lead", lead, given).is_err());
    }
    assert_eq!(set_roles(&home, "lead", lead, vec![]).unwrap_err(), ChangeRefused::Oneself);
    let by = home.confirmed("lead", &Target::Principal(lead));
    let disabled = home.change(|changing| changing.set_enabled(&by, lead, false));
    assert_eq!(disabled, Err(ChangeRefused::Oneself));
    let removed = home.change(|changing| changing.remove_principal(&by, lead));
    assert_eq!(removed, Err(ChangeRefused::Oneself));
}

// Attack 7.
#[test]
fn nobody_makes_or_edits_a_role_with_a_permission_they_do_not_hold_everywhere() {
    let home = home_with_lead(role_on("signer", "val-*"));
    for permission in [Permission::Admin, Permission::KeyExport, Permission::KeySign] {
        let refused = put_role(&home, "lead", "mine", PermissionSet::of(&[permission]));
        assert_eq!(refused, Err(ChangeRefused::PermissionNotHeld(permission)));
    }
    // Nor do they take away what they could not give.
    put_role(&home, "root", "exporter", PermissionSet::of(&[Permission::KeyExport])).unwrap();
    let manage = PermissionSet::of(&[Permission::AccessManage]);
    let refused = put_role(&home, "lead", "exporter", manage);
    assert_eq!(refused, Err(ChangeRefused::PermissionNotHeld(Permission::KeyExport)));
    assert_eq!(put_role(&home, "lead", "mine", manage), Ok(()));
}

// Attack 7: a role deleted and made again.
#[test]
fn role_in_use_is_not_removed_and_builtin_ones_never_are() {
    let home = home_with_lead(vec![]);
    let by = home.confirmed("root", &Target::None);
    let remove =
        |name: &str| home.change(|changing| changing.remove_role(&by, &name.parse().unwrap()));
    assert_eq!(remove("manager"), Err(ChangeRefused::RoleInUse("manager".parse().unwrap())));
    assert_eq!(remove("nonsense"), Err(ChangeRefused::UnknownRole("nonsense".parse().unwrap())));
    for builtin in ["admin", "operator", "auditor", "signer", "responder"] {
        let name: crate::access::RoleName = builtin.parse().unwrap();
        let refused = ChangeRefused::Role(InvalidRole::Builtin(name));
        assert_eq!(remove(builtin), Err(refused.clone()));
        let all = PermissionSet::of(&[Permission::Admin]);
        assert_eq!(put_role(&home, "root", builtin, all), Err(refused));
    }
    let lead = id_of(&home, "lead");
    set_roles(&home, "root", lead, role("auditor")).unwrap();
    assert_eq!(remove("manager"), Ok(()));
}

// Attack 7: by taking over somebody else.
#[test]
fn nobody_takes_over_or_stops_a_principal_who_holds_more() {
    let home = home_with_lead(role("auditor"));
    let root = home.root;
    let by = home.confirmed("lead", &Target::Principal(root));
    let (passphrase, _) =
        PassphraseCredential::create(home.access.stretcher(), &secret("mine now, thanks")).unwrap();
    let refused = Err(ChangeRefused::HoldsMore(root));
    let reset = home.change(|changing| changing.reset_passphrase(&by, root, passphrase));
    assert_eq!(reset, refused);
    assert_eq!(home.change(|changing| changing.reset_mfa(&by, root)), refused);
    assert_eq!(home.change(|changing| changing.set_enabled(&by, root, false)), refused);
    assert_eq!(home.change(|changing| changing.remove_principal(&by, root)), refused);
    assert_eq!(home.change(|changing| changing.set_slot(&by, root, true)), refused);
    assert_eq!(set_roles(&home, "lead", root, vec![]), refused);
}

/// A home whose one admin is `third`, by an own role; `root` is admin over some keys only.
fn home_with_one_admin_by_own_role() -> Home {
    let home = Home::new(MfaMode::Development);
    let second = home.add("second", role("admin"));
    set_roles(&home, "second", home.root, role_on("admin", "val-*")).unwrap();
    put_role(&home, "second", "everything", PermissionSet::of(&[Permission::Admin])).unwrap();
    home.try_add("second", "third", role("everything")).unwrap();
    let by = home.confirmed("third", &Target::Principal(second));
    home.change(|changing| changing.remove_principal(&by, second)).unwrap();
    home
}

// The last admin cannot be changed by anybody else, who would hold less, nor by themselves; what is
// left is to change the role that makes them one.
#[test]
fn last_admin_is_not_demoted_by_changing_their_role() {
    let home = home_with_one_admin_by_own_role();
    let read = PermissionSet::of(&[Permission::KeyRead]);
    let refused = put_role(&home, "third", "everything", read);
    assert_eq!(refused, Err(ChangeRefused::LastAdmin));
    home.try_add("third", "fourth", role("admin")).unwrap();
    assert_eq!(put_role(&home, "third", "everything", read), Ok(()));
}

#[test]
fn last_admin_is_not_removed_disabled_or_demoted() {
    let home = home_with_one_admin_by_own_role();
    let third = id_of(&home, "third");
    let by = home.confirmed("third", &Target::Principal(third));
    let oneself = Err(ChangeRefused::Oneself);
    assert_eq!(home.change(|changing| changing.remove_principal(&by, third)), oneself);
    assert_eq!(home.change(|changing| changing.set_enabled(&by, third, false)), oneself);
    assert_eq!(home.change(|changing| changing.set_roles(&by, third, vec![])), oneself);
}

#[test]
fn admin_over_some_keys_manages_nothing_that_is_not_a_key() {
    let home = home_with_one_admin_by_own_role();
    let caller = home.caller("root");
    for permission in [Permission::PolicyManage, Permission::AccessManage] {
        let denied = home.access.authorize(&caller, permission, &Target::None);
        assert_eq!(denied.unwrap_err(), Denied::Narrow(permission));
    }
}

#[test]
fn home_has_its_first_admin_once() {
    let home = Home::new(MfaMode::Development);
    let changing = home.access.changing();
    let refused = changing.bootstrap(new_principal(&home.access, "mallory"), at(0));
    assert_eq!(refused.unwrap_err(), ChangeRefused::AlreadyBootstrapped);
}

#[test]
fn names_that_differ_in_case_only_are_taken() {
    let home = Home::new(MfaMode::Development);
    let refused = home.try_add("root", "ROOT", vec![]).unwrap_err();
    assert_eq!(refused, ChangeRefused::NameTaken("ROOT".parse().unwrap()));
}

#[test]
fn grant_for_one_principal_is_not_spent_on_another() {
    let home = Home::new(MfaMode::Development);
    let (alice, bob) = (home.add("alice", vec![]), home.add("bob", vec![]));
    let by = home.confirmed("root", &Target::Principal(alice));
    let refused = home.change(|changing| changing.set_enabled(&by, bob, false));
    assert_eq!(refused, Err(ChangeRefused::WrongGrant));
    let name = "x".parse().unwrap();
    let role = Role::own(name, PermissionSet::of(&[Permission::KeyRead]));
    let refused = home.change(|changing| changing.put_role(&by, role));
    assert_eq!(refused, Err(ChangeRefused::WrongGrant));
}

#[test]
fn grant_from_before_its_holder_was_changed_decides_nothing() {
    let home = home_with_lead(vec![]);
    let alice = home.add("alice", vec![]);
    let by = home.confirmed("lead", &Target::Principal(alice));
    set_roles(&home, "root", id_of(&home, "lead"), role("auditor")).unwrap();
    let refused = home.change(|changing| changing.set_enabled(&by, alice, false));
    assert_eq!(refused, Err(ChangeRefused::SessionEnded));
}

#[test]
fn grant_from_before_its_role_was_changed_decides_nothing() {
    let home = home_with_lead(vec![]);
    let alice = home.add("alice", vec![]);
    let by = home.confirmed("lead", &Target::Principal(alice));
    put_role(&home, "root", "manager", PermissionSet::of(&[Permission::KeyRead])).unwrap();
    let refused = home.change(|changing| changing.set_enabled(&by, alice, false));
    assert_eq!(refused, Err(ChangeRefused::PermissionNotHeld(Permission::AccessManage)));
}

// Attack 8: every permission for every role, as granted and not as listed.
#[test]
fn roles_are_granted_what_they_list_and_nothing_else() {
    let home = Home::new(MfaMode::Development);
    for held in home.access.roles() {
        let name = format!("a {}", held.name);
        home.add(&name, role(held.name.as_str()));
        let session = home.login(&name);
        let caller = home.validate(&session, HERE, at(0)).unwrap();
        for permission in Permission::ALL {
            let expected = held.permissions.grants(permission);
            let granted = home.access.authorize(&caller, permission, &Target::None);
            assert_eq!(granted.is_ok(), expected, "{} {permission}", held.name);
            let presented = Presented { token: &session.token, client: HERE };
            let checked = home.access.check_permission(&presented, permission, at(0));
            assert_eq!(checked.is_ok(), expected, "{} {permission}", held.name);
        }
    }
}

#[test]
fn principal_without_roles_may_nothing() {
    let home = Home::new(MfaMode::Development);
    home.add("alice", vec![]);
    let caller = home.caller("alice");
    for permission in Permission::ALL {
        assert!(home.access.authorize(&caller, permission, &Target::None).is_err());
    }
}

#[test]
fn grant_says_for_which_key_it_is() {
    let home = Home::new(MfaMode::Development);
    let caller = home.caller("root");
    let (id, label) = (KeyId::from_random([3; 16]), "val".parse::<Label>().unwrap());
    let target = Target::Key { id: &id, label: &label, purpose: Purpose::Consensus };
    let grant = home.access.authorize(&caller, Permission::KeySign, &target).unwrap();
    assert_eq!(grant.target(), crate::access::GrantedTarget::Key(id));
    assert_eq!((grant.principal(), grant.session()), (Some(home.root), Some(caller.session())));
    assert_eq!(grant.permission(), Permission::KeySign);
}

#[test]
fn new_key_is_made_inside_ones_scope_only() {
    let home = Home::new(MfaMode::Development);
    home.add("alice", role_on("operator", "dev-*"));
    let caller = home.caller("alice");
    let make = |label: &str| {
        let label: Label = label.parse().unwrap();
        let target = Target::NewKey { label: &label, purpose: Purpose::General };
        home.access.authorize(&caller, Permission::KeyCreate, &target).map(|_| ())
    };
    assert_eq!(make("dev-1"), Ok(()));
    assert_eq!(make("prod-1"), Err(Denied::Narrow(Permission::KeyCreate)));
}

#[test]
fn changed_role_holds_from_the_next_call_on() {
    let home = Home::new(MfaMode::Development);
    put_role(&home, "root", "mine", PermissionSet::of(&[Permission::KeySign])).unwrap();
    home.add("alice", role("mine"));
    let caller = home.caller("alice");
    assert!(home.access.authorize(&caller, Permission::KeySign, &Target::None).is_ok());
    put_role(&home, "root", "mine", PermissionSet::of(&[Permission::KeyRead])).unwrap();
    assert!(home.access.authorize(&caller, Permission::KeySign, &Target::None).is_err());
}

#[test]
fn stored_contents_that_contradict_themselves_are_refused() {
    let home = Home::new(MfaMode::Development);
    let root = home.access.principal("root").unwrap();
    let credentials = home.access.directory().credentials(home.root).unwrap().clone();
    let load = |change: fn(&mut AccessContents)| {
        let mut contents = AccessContents {
            principals: vec![root.clone()],
            credentials: vec![credentials.clone()],
            ..Default::default()
        };
        change(&mut contents);
        let sessions = SessionPolicy::default();
        let settings = AccessSettings { sessions, mfa: MfaMode::Required };
        AccessController::quick(contents, settings).map(|_| ())
    };
    let id = home.root;
    assert_eq!(load(|_| ()), Ok(()));
    let twice = load(|c| c.principals.push(c.principals[0].clone()));
    assert_eq!(twice, Err(AccessFault::DuplicatePrincipal(id)));
    assert_eq!(load(|c| c.credentials.clear()), Err(AccessFault::StrayCredentials(id)));
    assert!(load(|c| c.principals.clear()).is_err());
    let unknown = load(|c| c.principals[0].assignments = role("ghost"));
    assert!(matches!(unknown, Err(AccessFault::UnknownRole { .. })));
}

#[test]
fn stored_principals_and_credentials_are_read_back_and_take_no_other_fields() {
    let home = Home::new(MfaMode::Development);
    let alice = home.add("alice", role_on("signer", "val-*"));
    let principal = home.access.principal("alice").unwrap();
    let json = serde_json::to_string(&principal).unwrap();
    assert_eq!(serde_json::from_str::<crate::access::Principal>(&json).unwrap(), principal);
    let more = json.replacen('{', r#"{"x":1,"#, 1);
    assert!(serde_json::from_str::<crate::access::Principal>(&more).is_err());
    let credentials = home.access.directory().credentials(alice).unwrap().clone();
    let json = serde_json::to_string(&credentials).unwrap();
    assert_eq!(serde_json::from_str::<Credentials>(&json).unwrap(), credentials);
}
