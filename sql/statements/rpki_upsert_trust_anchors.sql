-- What each trust anchor gives to the new set. ASPAs do not name theirs in all formats.
INSERT INTO rpki.trust_anchors AS t (trust_anchor, vrps)
SELECT new.trust_anchor, new.vrps FROM unnest($1::text[], $2::bigint[]) AS new (trust_anchor, vrps)
ON CONFLICT (trust_anchor) DO UPDATE SET vrps = EXCLUDED.vrps WHERE t.vrps <> EXCLUDED.vrps
