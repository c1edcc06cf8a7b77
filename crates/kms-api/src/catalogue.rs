//! Every operation there is, in one list: the server's routes, OpenAPI and the test of permissions
//! are made from it, so that none of them can forget one.

use crate::*;

/// Looks at each operation.
pub trait Visitor {
    /// One that is carried out as a whole.
    fn operation<O: Operation>(&mut self);

    /// A use of a key, which can be awaited.
    fn uses<O: Uses>(&mut self) {
        self.operation::<O>();
    }
}

/// Shows `visitor` every operation.
pub fn every(visitor: &mut impl Visitor) {
    macro_rules! operations {
        ($($name:ident),+ $(,)?) => { $(visitor.operation::<$name>();)+ };
    }
    visitor.uses::<Sign>();
    visitor.uses::<SignBatch>();
    operations!(
        GenerateKey,
        RegisterKey,
        ImportKey,
        ListKeys,
        ShowKey,
        ExportPublicKey,
        KeyHistory,
        RenameKey,
        Verify,
        VerifyBatch,
    );
    operations!(
        Activate,
        Suspend,
        Reactivate,
        Rotate,
        RotateTo,
        Complete,
        Abort,
        Deactivate,
        Archive,
        Compromise,
        ScheduleDestroy,
        CancelDestroy,
        DestroyNow,
    );
    operations!(ReportLifecycle, ListKeysNeedingRotation);
    operations!(ListPolicies, ShowPolicy, SetPolicy, RemovePolicy);
    operations!(
        CreatePrincipal,
        ListPrincipals,
        ShowPrincipal,
        DisablePrincipal,
        EnablePrincipal,
        RemovePrincipal,
        SetRoles,
        ResetPassphrase,
        SetAttestations,
        ResetMfa,
    );
    operations!(ChangePassphrase, EnrollMfa, CheckPermission);
    operations!(ListRoles, ShowRole, SetRole, RemoveRole);
    operations!(ListSessions, EndSession);
    operations!(ListEvents, NamePrincipals, ReadHead, CheckpointAudit, ReportAudit, VerifyAudit);
    operations!(ShowStatus, Lock);
    operations!(
        CreateMultiSigKey,
        ListMultiSigKeys,
        ShowMultiSigKey,
        InitiateOperation,
        ListOperations,
        ShowOperation,
        SignOperation,
        AddSignature,
        CompleteOperation,
        CancelOperation,
        ListRules,
        SetRule,
        RemoveRule,
    );
    operations!(
        ListConsensusStates,
        BeginConsensusState,
        ConfirmConsensusState,
        StopConsensusAt,
        HandOverConsensus,
    );
}
