-- What stands in watch.deliveries.target_url.

COMMENT ON COLUMN watch.deliveries.target_url IS 'Where it goes instead of the URL of the callback. The collector leaves it empty: whoever writes it sends one delivery elsewhere. Not for alertmanager, whose state goes to all members of the cluster.';
